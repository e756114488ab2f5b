// How the values of events and of the state are written as members of JSON objects, and read back:
// one description serves both directions. Used by event_codec.cc and state_codec.cc alone.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/json.h"
#include "server/campaign_state.h"

namespace tributary::server::codec {

using nlohmann::json;

class Writer {
 public:
  // `whole`: tasks with what became of them.
  explicit Writer(json* object, bool whole = false) : object_(*object), whole_(whole) {}
  bool whole() const { return whole_; }
  void operator()(const char* key, const std::string& v) { object_[key] = v; }
  void operator()(const char* key, bool v) { object_[key] = v; }
  void operator()(const char* key, std::int64_t v) { object_[key] = v; }
  void operator()(const char* key, std::uint64_t v) { object_[key] = v; }
  void operator()(const char* key, double v) { object_[key] = v; }
  void Later(const char* key, double v) { object_[key] = v; }
  void Later(const char* key, bool v) {
    if (v) object_[key] = v;
  }
  void Later(const char* key, std::int64_t v, std::int64_t absent) {
    if (v != absent) object_[key] = v;
  }
  void Later(const char* key, const std::vector<std::string>& v) {
    if (!v.empty()) object_[key] = v;
  }
  void Later(const char* key, const std::string& v) {
    if (!v.empty()) object_[key] = v;
  }
  void operator()(const char* key, const Digest& v) {
    if (!v.IsZero()) object_[key] = v.ToHex();
  }
  void operator()(const char* key, const std::map<std::string, double>& v) {
    if (!v.empty()) object_[key] = v;
  }
  void operator()(const char* key, Completion v) { object_[key] = CompletionName(v); }
  void operator()(const char* key, const BlobRef& v) {
    if (!v.digest.IsZero()) object_[key] = {{"digest", v.digest.ToHex()}, {"bytes", v.bytes}};
  }
  void operator()(const char* key, const std::map<std::string, BlobRef>& v) {
    if (v.empty()) return;
    Writer blobs(&object_[key]);
    for (const auto& [name, blob] : v) blobs(name.c_str(), blob);
  }
  void operator()(const char* key, const std::map<std::string, std::string>& v) {
    if (!v.empty()) object_[key] = v;
  }
  void operator()(const char* key, const std::set<std::string>& v) {
    if (!v.empty()) object_[key] = v;
  }
  void operator()(const char* key, std::chrono::seconds v) { object_[key] = v.count(); }
  void operator()(const char* key, Timestamp v) { object_[key] = ToMicros(v); }
  void operator()(const char* key, const std::optional<Timestamp>& v) {
    if (v) object_[key] = ToMicros(*v);
  }
  void operator()(const char* key, TaskKind v) { object_[key] = TaskKindName(v); }
  void operator()(const char* key, TaskPhase v) { object_[key] = TaskPhaseName(v); }
  void operator()(const char* key, CampaignPhase v) { object_[key] = CampaignPhaseName(v); }
  void operator()(const char* key, SiteAnswer::Kind v) { object_[key] = SiteAnswerName(v); }
  // What has a Fields() of its own, and lists of it.
  template <typename T>
  void Nested(const char* key, const T& v) {
    Writer writer(&(object_[key] = json::object()), whole_);
    Fields(writer, v);
  }
  template <typename T>
  void NestedIf(const char* key, const T& v, bool there) {
    if (there) Nested(key, v);
  }
  template <typename T>
  void List(const char* key, const std::vector<T>& v) {
    json list = json::array();
    for (const T& item : v) {
      Writer writer(&list.emplace_back(json::object()), whole_);
      Fields(writer, item);
    }
    object_[key] = std::move(list);
  }
  // With all of each item; absent when there are none.
  template <typename T>
  void WholeList(const char* key, const std::vector<T>& v) {
    if (v.empty()) return;
    Writer whole(&object_, true);
    whole.List(key, v);
  }
  template <typename T>
  void Map(const char* key, const std::map<std::string, T>& v) {
    json map = json::object();
    for (const auto& [name, item] : v) {
      Writer writer(&(map[name] = json::object()), whole_);
      Fields(writer, item);
    }
    object_[key] = std::move(map);
  }

 private:
  json& object_;
  const bool whole_;
};

class Reader {
 public:
  explicit Reader(const json& object, bool whole = false)
      : whole_(whole), reader_(object, "event", &problems_) {}
  bool whole() const { return whole_; }
  void operator()(const char* key, std::string& v) { v = reader_.String(key); }
  void operator()(const char* key, bool& v) { v = reader_.Bool(key); }
  void operator()(const char* key, std::int64_t& v) { v = reader_.Int(key, INT64_MIN, INT64_MAX); }
  void operator()(const char* key, std::uint64_t& v) {
    v = static_cast<std::uint64_t>(reader_.Int(key, 0, INT64_MAX));
  }
  void operator()(const char* key, double& v) { v = reader_.Number(key); }
  // Fields that journals of the first format do not have.
  void Later(const char* key, double& v) { v = reader_.Number(key, 0); }
  void Later(const char* key, bool& v) { v = reader_.Has(key) && reader_.Bool(key); }
  void Later(const char* key, std::int64_t& v, std::int64_t absent) {
    v = reader_.Has(key) ? reader_.Int(key, INT64_MIN, INT64_MAX) : absent;
  }
  void Later(const char* key, std::string& v) { v = reader_.String(key, std::string()); }
  void Later(const char* key, std::vector<std::string>& v) {
    if (!reader_.Has(key)) return;
    if (!reader_.Raw(key).is_array()) return reader_.Problem(key, "must be a list");
    for (const json& item : reader_.Raw(key)) {
      if (!item.is_string()) return reader_.Problem(key, "holds a value that is not text");
      v.push_back(item.get<std::string>());
    }
  }
  void operator()(const char* key, Digest& v) {
    const std::string hex = reader_.String(key, std::string());
    if (hex.empty()) return;
    const auto digest = Digest::FromHex(hex);
    if (digest.ok()) {
      v = *digest;
    } else {
      reader_.Problem(key, digest.status().message());
    }
  }
  void operator()(const char* key, std::map<std::string, double>& v) {
    if (!reader_.Has(key)) return;
    if (!reader_.Raw(key).is_object()) return reader_.Problem(key, "must be an object");
    for (const auto& [name, value] : reader_.Raw(key).items()) {
      if (value.is_number()) {
        v[name] = value.get<double>();
      } else {
        reader_.Problem(key, "holds a value that is not a number");
      }
    }
  }
  void operator()(const char* key, BlobRef& v) {
    if (!reader_.Has(key)) return;
    JsonObjectReader blob = reader_.Object(key);
    const auto digest = Digest::FromHex(blob.String("digest"));
    v.bytes = static_cast<std::uint64_t>(blob.Int("bytes", 0, INT64_MAX));
    if (digest.ok()) {
      v.digest = *digest;
    } else {
      blob.Problem("digest", digest.status().message());
    }
  }
  void operator()(const char* key, std::map<std::string, BlobRef>& v) {
    if (!reader_.Has(key)) return;
    if (!reader_.Raw(key).is_object()) return reader_.Problem(key, "must be an object");
    Reader blobs(reader_.Raw(key));
    for (const auto& [name, value] : reader_.Raw(key).items()) blobs(name.c_str(), v[name]);
    if (const Status status = blobs.status(); !status.ok()) reader_.Problem(key, status.message());
  }
  void operator()(const char* key, Completion& v) {
    Name(key, {Completion::kComplete, Completion::kPartial, Completion::kFailed}, CompletionName,
         v);
  }
  void operator()(const char* key, std::map<std::string, std::string>& v) {
    ReadTexts(key, [&](const std::string& name, const std::string& text) { v[name] = text; });
  }
  void operator()(const char* key, std::set<std::string>& v) {
    std::vector<std::string> list;
    Later(key, list);
    v.insert(list.begin(), list.end());
  }
  void operator()(const char* key, std::chrono::seconds& v) {
    v = std::chrono::seconds(reader_.Int(key, 0, kMostSeconds));
  }
  void operator()(const char* key, Timestamp& v) {
    v = TimestampFromMicros(reader_.Int(key, INT64_MIN, INT64_MAX));
  }
  void operator()(const char* key, std::optional<Timestamp>& v) {
    if (reader_.Has(key)) v = TimestampFromMicros(reader_.Int(key, INT64_MIN, INT64_MAX));
  }
  void operator()(const char* key, TaskKind& v) {
    Name(key, {TaskKind::kTrain, TaskKind::kEvaluate}, TaskKindName, v);
  }
  void operator()(const char* key, TaskPhase& v) {
    Name(key,
         {TaskPhase::kOutstanding, TaskPhase::kAccepted, TaskPhase::kFailed, TaskPhase::kMissed,
          TaskPhase::kCancelled},
         TaskPhaseName, v);
  }
  void operator()(const char* key, CampaignPhase& v) {
    Name(key,
         {CampaignPhase::kGathering, CampaignPhase::kPlanning, CampaignPhase::kTraining,
          CampaignPhase::kAggregating, CampaignPhase::kFinishing, CampaignPhase::kCompleted,
          CampaignPhase::kCancelled},
         CampaignPhaseName, v);
  }
  void operator()(const char* key, SiteAnswer::Kind& v) {
    Name(key,
         {SiteAnswer::Kind::kWaiting, SiteAnswer::Kind::kAccepted, SiteAnswer::Kind::kRefused,
          SiteAnswer::Kind::kDropped},
         SiteAnswerName, v);
  }
  template <typename T>
  void Nested(const char* key, T& v) {
    Take(key, reader_.Raw(key), v, whole_);
  }
  template <typename T>
  void NestedIf(const char* key, T& v, bool /*there*/) {
    if (reader_.Has(key)) Nested(key, v);
  }
  template <typename T>
  void List(const char* key, std::vector<T>& v) {
    if (!reader_.Raw(key).is_array()) return reader_.Problem(key, "must be a list");
    for (const json& item : reader_.Raw(key)) Take(key, item, v.emplace_back(), whole_);
  }
  template <typename T>
  void WholeList(const char* key, std::vector<T>& v) {
    if (!reader_.Has(key)) return;
    if (!reader_.Raw(key).is_array()) return reader_.Problem(key, "must be a list");
    for (const json& item : reader_.Raw(key)) Take(key, item, v.emplace_back(), true);
  }
  template <typename T>
  void Map(const char* key, std::map<std::string, T>& v) {
    if (!reader_.Raw(key).is_object()) return reader_.Problem(key, "must be an object");
    for (const auto& [name, item] : reader_.Raw(key).items()) Take(key, item, v[name], whole_);
  }
  Status status() const { return ProblemsToStatus(problems_); }

 private:
  static constexpr std::int64_t kMostSeconds = std::int64_t{1} << 40;

  template <typename E, typename NameOf>
  void Name(const char* key, std::initializer_list<E> values, NameOf name_of, E& v) {
    const std::string name = reader_.String(key);
    for (const E value : values) {
      if (name_of(value) != name) continue;
      v = value;
      return;
    }
    reader_.Problem(key, "is not known");
  }
  template <typename T>
  void Take(const char* key, const json& object, T& v, bool whole) {
    if (!object.is_object()) return reader_.Problem(key, "must be an object");
    Reader reader(object, whole);
    Fields(reader, v);
    if (const Status status = reader.status(); !status.ok()) reader_.Problem(key, status.message());
  }
  template <typename Visit>
  void ReadTexts(const char* key, const Visit& visit) {
    if (!reader_.Has(key)) return;
    if (!reader_.Raw(key).is_object()) return reader_.Problem(key, "must be an object");
    for (const auto& [name, value] : reader_.Raw(key).items()) {
      if (!value.is_string()) return reader_.Problem(key, "holds a value that is not text");
      visit(name, value.template get<std::string>());
    }
  }

  const bool whole_;
  std::vector<std::string> problems_;
  JsonObjectReader reader_;
};

// But for the signed statement, which is the event's alone.
template <class F, class T>
requires std::is_same_v<std::remove_const_t<T>, ReportFacts>
void FactFields(F& f, T& facts) {
  f("completion", facts.completion);
  f("message", facts.message);
  f("digest", facts.digest);
  f("bytes", facts.bytes);
  f("samples", facts.samples);
  f("tokens", facts.tokens);
  f("steps", facts.steps);
  f.Later("learning_rate_sum", facts.learning_rate_sum);
  f("loss_first", facts.loss_first);
  f("loss_last", facts.loss_last);
  f("metrics", facts.metrics);
  f("queue_seconds", facts.queue_seconds);
  f("startup_seconds", facts.startup_seconds);
  f("compute_seconds", facts.compute_seconds);
  f("transfer_seconds", facts.transfer_seconds);
  f.Later("device", facts.device);
  f.Later("peak_memory_bytes", facts.peak_memory_bytes, 0);
}

template <class F, class T>
requires std::is_same_v<std::remove_const_t<T>, ReportFacts>
void Fields(F& f, T& facts) { FactFields(f, facts); }

// A task as it was planned, or the whole of it. Its campaign is the beginning of its id.
template <class F, class T>
requires std::is_same_v<std::remove_const_t<T>, Task>
void Fields(F& f, T& task) {
  f("id", task.id);
  f("site", task.site);
  f("kind", task.kind);
  f("round", task.round);
  f("attempt", task.attempt);
  f("tries", task.tries);
  f("delay_seconds", task.delay);
  f("base_version", task.base_version);
  f("seed", task.seed);
  f("steps", task.steps);
  f("learning_rate_scale", task.learning_rate_scale);
  if (f.whole()) {
    f("phase", task.phase);
    f.Later("carried_to", task.carried_to, 0);
    f.Later("reason", task.reason);
    f.NestedIf("facts", task.facts, task.phase != TaskPhase::kOutstanding);
  }
  if constexpr (!std::is_const_v<T>) task.campaign = task.id.substr(0, task.id.find('.'));
}

}  // namespace tributary::server::codec

#include "server/event_codec.h"

#include <nlohmann/json.hpp>

#include "core/json.h"

namespace tributary::server {
namespace {

using nlohmann::json;

// One Fields() per event serves both directions.
class Writer {
 public:
  explicit Writer(json* object) : object_(*object) {}
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

 private:
  json& object_;
};

class Reader {
 public:
  explicit Reader(const json& object) : reader_(object, "event", &problems_) {}
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
    const std::string name = reader_.String(key);
    for (const auto c : {Completion::kComplete, Completion::kPartial, Completion::kFailed}) {
      if (CompletionName(c) == name) {
        v = c;
        return;
      }
    }
    reader_.Problem(key, "is not known");
  }
  Status status() const { return ProblemsToStatus(problems_); }

 private:
  std::vector<std::string> problems_;
  JsonObjectReader reader_;
};

template <class F>
void Fields(F& f, auto& e) requires requires {
  e.certificate_fingerprint;
}
{
  f("site", e.site);
  f("certificate_fingerprint", e.certificate_fingerprint);
}
template <class F>
void Fields(F& f, auto& e) requires requires {
  e.initial_digest;
}
{
  f("campaign", e.campaign);
  f("lead", e.lead);
  f("yaml", e.yaml);
  f("initial_digest", e.initial_digest);
  f("initial_bytes", e.initial_bytes);
  f.Later("rules", e.rules, 0);
}
template <class F>
void Fields(F& f, auto& e) requires requires {
  e.accepted;
}
{
  f("campaign", e.campaign);
  f("site", e.site);
  f("accepted", e.accepted);
  f("reason", e.reason);
}
template <class F>
void Fields(F& f, auto& e) requires requires {
  e.by;
}
{
  f("campaign", e.campaign);
  f("by", e.by);
  if constexpr (requires { e.without; }) {
    f.Later("without", e.without);
    f.Later("again", e.again);
  }
  if constexpr (requires { e.drop; }) {
    f.Later("rounds", e.rounds, 0);
    f.Later("deadline_seconds", e.deadline_seconds, -1);
    f.Later("start", e.start);
    f.Later("drop", e.drop);
  }
}
template <class F>
void Fields(F& f, auto& e) requires requires {
  e.facts;
}
{
  f("task", e.task);
  auto& facts = e.facts;
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
  f("statement", facts.statement_hex);
  f("signature", facts.signature_hex);
}
template <class F>
void Fields(F& f, auto& e) requires requires {
  e.task;
  e.reason;
}
{
  f("task", e.task);
  f("reason", e.reason);
  if constexpr (requires { e.refused; }) f.Later("refused", e.refused);
}
template <class F>
void Fields(F& f, auto& e) requires requires {
  e.tries;
}
{
  f("campaign", e.campaign);
  f("round", e.round);
  f("tries", e.tries);
}
template <class F>
void Fields(F& f, auto& e) requires requires {
  e.round;
  e.digest;
}
{
  f("campaign", e.campaign);
  f("round", e.round);
  f("digest", e.digest);
  f("bytes", e.bytes);
  f("state", e.state);
  f("numbers", e.numbers);
  f("merged", e.merged);
}
template <class F>
void Fields(F& f, auto& e) requires requires {
  e.round;
  e.reason;
}
{
  f("campaign", e.campaign);
  f("round", e.round);
  f("reason", e.reason);
}
template <class F>
void Fields(F& f, auto& e) requires requires {
  e.version;
}
{
  f("campaign", e.campaign);
  f("version", e.version);
  if constexpr (requires { e.reason; }) f("reason", e.reason);
}
template <class F>
void Fields(F& f, DeadlinePassed& e) {
  f("campaign", e.campaign);
}
template <class F>
void Fields(F& f, const DeadlinePassed& e) {
  f("campaign", e.campaign);
}

const char* Name(const SiteEnrolled*) { return "site_enrolled"; }
const char* Name(const CampaignSubmitted*) { return "campaign_submitted"; }
const char* Name(const CampaignAnswered*) { return "campaign_answered"; }
const char* Name(const CampaignPaused*) { return "campaign_paused"; }
const char* Name(const CampaignResumed*) { return "campaign_resumed"; }
const char* Name(const CampaignCancelled*) { return "campaign_cancelled"; }
const char* Name(const UpdateAccepted*) { return "update_accepted"; }
const char* Name(const TaskFailed*) { return "task_failed"; }
const char* Name(const VersionPublished*) { return "version_published"; }
const char* Name(const AggregationFailed*) { return "aggregation_failed"; }
const char* Name(const DeadlinePassed*) { return "deadline_passed"; }
const char* Name(const AggregationTried*) { return "aggregation_tried"; }
const char* Name(const CampaignChanged*) { return "campaign_changed"; }
const char* Name(const VersionDamaged*) { return "version_damaged"; }
const char* Name(const VersionRestored*) { return "version_restored"; }
const char* Name(const UpdateDamaged*) { return "update_damaged"; }

// Tries the variant's alternatives one after the other.
template <std::size_t I = 0>
Result<Event> DecodeAs(const std::string& type, const json& object) {
  if constexpr (I == std::variant_size_v<Event>) {
    return DataLossError("event type \"" + type + "\" is not known");
  } else {
    using E = std::variant_alternative_t<I, Event>;
    if (type != Name(static_cast<const E*>(nullptr))) return DecodeAs<I + 1>(type, object);
    E event;
    Reader reader(object);
    Fields(reader, event);
    const Status status = reader.status();
    if (!status.ok()) return DataLossError(status.message());
    return Event(std::move(event));
  }
}

}  // namespace

std::string EncodeEvent(const Event& event) {
  json object;
  std::visit(
      [&](const auto& e) {
        object["type"] = Name(&e);
        Writer writer(&object);
        Fields(writer, e);
      },
      event);
  return object.dump(-1, ' ', false, json::error_handler_t::replace);
}

Result<Event> DecodeEvent(std::string_view text) {
  const auto object = ParseJson(text, "event");
  if (!object.ok()) return DataLossError(object.status().message());
  if (!object->is_object() || !object->contains("type") || !(*object)["type"].is_string()) {
    return DataLossError("event has no type");
  }
  return DecodeAs((*object)["type"].get<std::string>(), *object);
}

}  // namespace tributary::server

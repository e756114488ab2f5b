#include "core/json.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/files.h"

namespace tributary {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxDepth = 64;

// Builds a value while refusing what nlohmann's own builder lets pass: duplicate keys and unbounded
// depth.
class StrictBuilder final : public nlohmann::json_sax<json> {
 public:
  explicit StrictBuilder(json& root) : root_(root) {}

  bool null() override { return Put(nullptr); }
  bool boolean(bool value) override { return Put(value); }
  bool number_integer(number_integer_t value) override { return Put(value); }
  bool number_unsigned(number_unsigned_t value) override { return Put(value); }
  bool number_float(number_float_t value, const string_t&) override { return Put(value); }
  bool string(string_t& value) override { return Put(std::move(value)); }
  bool binary(binary_t&) override { return false; }  // not in a text
  bool start_object(std::size_t) override { return Open(json::object()); }
  bool end_object() override { return Close(); }
  bool start_array(std::size_t) override { return Open(json::array()); }
  bool end_array() override { return Close(); }
  bool key(string_t& name) override {
    if (open_.back()->contains(name)) {
      problem_ = "key \"" + name + "\" appears twice";
      return false;
    }
    key_ = std::move(name);
    return true;
  }
  bool parse_error(std::size_t position, const std::string&,
                   const json::exception& error) override {
    problem_ =
        "is not valid JSON at byte " + std::to_string(position) + ": " + Shorten(error.what());
    return false;
  }
  const std::string& problem() const { return problem_; }

 private:
  json* Place(json value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    json& parent = *open_.back();
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return &parent.back();
    }
    json& member = parent[key_];
    member = std::move(value);
    return &member;
  }
  bool Put(json value) {
    Place(std::move(value));
    return true;
  }
  bool Open(json value) {
    if (open_.size() == kMaxDepth) {
      problem_ = "is nested deeper than " + std::to_string(kMaxDepth);
      return false;
    }
    open_.push_back(Place(std::move(value)));
    return true;
  }
  bool Close() {
    open_.pop_back();
    return true;
  }
  // Drops nlohmann's prefix "[json.exception...] parse error at line ..: " and keeps the reason.
  static std::string Shorten(std::string_view what) {
    const std::size_t colon = what.find(": ");
    return std::string(colon == std::string_view::npos ? what : what.substr(colon + 2));
  }

  json& root_;
  std::vector<json*> open_;  // the containers that are not closed yet: none of them moves meanwhile
  std::string key_;          // of the member to come
  std::string problem_;
};

const json& Null() {
  static const json null;
  return null;
}

}  // namespace

Result<json> ParseJson(std::string_view text, std::string_view what) {
  json root;
  StrictBuilder builder(root);
  if (!json::sax_parse(text.begin(), text.end(), &builder) || !builder.problem().empty()) {
    return InvalidArgumentError(std::string(what) + ": " + builder.problem());
  }
  return root;
}

Result<json> ReadJsonFile(const std::string& path) {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  return ParseJson(text, path);
}

JsonObjectReader::JsonObjectReader(const json& object, std::string where,
                                   std::vector<std::string>* problems)
    : object_(object), where_(std::move(where)), problems_(problems) {
  if (!object_.is_object()) problems_->push_back(where_ + ": must be an object");
}

bool JsonObjectReader::Has(std::string_view key) const {
  return object_.is_object() && object_.find(key) != object_.end();
}

const json* JsonObjectReader::Member(std::string_view key, bool required) {
  seen_.emplace(key);
  if (object_.is_object()) {
    const auto it = object_.find(key);
    if (it != object_.end()) return &*it;
    if (required) Problem(key, "is missing");
  }
  return nullptr;
}

void JsonObjectReader::Problem(std::string_view key, std::string text) {
  problems_->push_back(where_ + "." + std::string(key) + ": " + std::move(text));
}

const json& JsonObjectReader::Raw(std::string_view key) {
  const json* member = Member(key, true);
  return member != nullptr ? *member : Null();
}

JsonObjectReader JsonObjectReader::Object(std::string_view key) {
  const json* member = Member(key, true);
  static const json empty = json::object();
  return {member != nullptr ? *member : empty, where_ + "." + std::string(key), problems_};
}

std::string JsonObjectReader::String(std::string_view key, std::string fallback) {
  const json* member = Member(key, false);
  if (member == nullptr) return fallback;
  if (member->is_string()) return member->get<std::string>();
  Problem(key, std::string("is a ") + member->type_name() + "; must be a string");
  return fallback;
}

std::int64_t JsonObjectReader::Int(std::string_view key, std::int64_t min, std::int64_t max,
                                   std::int64_t fallback) {
  const json* member = Member(key, false);
  if (member == nullptr) return fallback;
  const bool too_large = member->is_number_unsigned() &&
                         member->get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX);
  if (!member->is_number_integer()) {
    Problem(key, std::string("is a ") + member->type_name() + "; must be a whole number");
  } else if (too_large || member->get<std::int64_t>() < min || member->get<std::int64_t>() > max) {
    Problem(key, member->dump() + " is out of range; must be " + std::to_string(min) + ".." +
                     std::to_string(max));
  } else {
    return member->get<std::int64_t>();
  }
  return fallback;
}

double JsonObjectReader::Number(std::string_view key, double fallback) {
  const json* member = Member(key, false);
  if (member == nullptr) return fallback;
  if (member->is_number() && std::isfinite(member->get<double>())) return member->get<double>();
  Problem(key, std::string("is a ") + member->type_name() + "; must be a finite number");
  return fallback;
}

bool JsonObjectReader::Bool(std::string_view key, bool fallback) {
  const json* member = Member(key, false);
  if (member == nullptr) return fallback;
  if (member->is_boolean()) return member->get<bool>();
  Problem(key, std::string("is a ") + member->type_name() + "; must be true or false");
  return fallback;
}

std::vector<std::string> JsonObjectReader::Strings(std::string_view key,
                                                   std::vector<std::string> fallback) {
  const json* member = Member(key, false);
  if (member == nullptr) return fallback;
  std::vector<std::string> values;
  for (const json& item : member->is_array() ? *member : json::array({nullptr})) {
    if (!item.is_string()) {
      Problem(key, "must be a list of strings");
      return fallback;
    }
    values.push_back(item.get<std::string>());
  }
  return values;
}

std::string JsonObjectReader::String(std::string_view key) {
  Member(key, true);
  return String(key, std::string());
}
std::int64_t JsonObjectReader::Int(std::string_view key, std::int64_t min, std::int64_t max) {
  Member(key, true);
  return Int(key, min, max, min);
}
double JsonObjectReader::Number(std::string_view key) {
  Member(key, true);
  return Number(key, 0.0);
}
bool JsonObjectReader::Bool(std::string_view key) {
  Member(key, true);
  return Bool(key, false);
}
std::vector<std::string> JsonObjectReader::Strings(std::string_view key) {
  Member(key, true);
  return Strings(key, std::vector<std::string>());
}

void JsonObjectReader::RejectUnknown() {
  if (!object_.is_object()) return;
  for (const auto& [key, value] : object_.items()) {
    if (!seen_.contains(key)) Problem(key, "is not a known key");
  }
}

Status ProblemsToStatus(const std::vector<std::string>& problems) {
  if (problems.empty()) return OkStatus();
  std::string message;
  for (const std::string& problem : problems) {
    if (!message.empty()) message += "; ";
    message += problem;
  }
  return InvalidArgumentError(std::move(message));
}

}  // namespace tributary

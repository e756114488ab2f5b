#include "core/json.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/files.h"

namespace tributary {
namespace {

using nlohmann::json;

constexpr int kMaxDepth = 64;

// Builds a value while refusing what nlohmann's parser lets pass: duplicate keys and unbounded
// depth.
class StrictBuilder : public nlohmann::detail::json_sax_dom_parser<json> {
 public:
  using Base = nlohmann::detail::json_sax_dom_parser<json>;
  explicit StrictBuilder(json& root) : Base(root, /*allow_exceptions=*/false) {}

  bool start_object(std::size_t elements) {
    keys_.emplace_back();
    return Deeper() && Base::start_object(elements);
  }
  bool end_object() {
    keys_.pop_back();
    --depth_;
    return Base::end_object();
  }
  bool start_array(std::size_t elements) { return Deeper() && Base::start_array(elements); }
  bool end_array() {
    --depth_;
    return Base::end_array();
  }
  bool key(std::string& name) {
    if (!keys_.back().insert(name).second) {
      problem_ = "key \"" + name + "\" appears twice";
      return false;
    }
    return Base::key(name);
  }
  template <typename Exception>
  bool parse_error(std::size_t position, const std::string& /*token*/, const Exception& error) {
    problem_ =
        "is not valid JSON at byte " + std::to_string(position) + ": " + Shorten(error.what());
    return false;
  }
  const std::string& problem() const { return problem_; }

 private:
  bool Deeper() {
    if (++depth_ <= kMaxDepth) return true;
    problem_ = "is nested deeper than " + std::to_string(kMaxDepth);
    return false;
  }
  // Drops nlohmann's prefix "[json.exception...] parse error at line ..: " and keeps the reason.
  static std::string Shorten(std::string_view what) {
    const std::size_t colon = what.find(": ");
    return std::string(colon == std::string_view::npos ? what : what.substr(colon + 2));
  }

  int depth_ = 0;
  std::vector<std::set<std::string>> keys_;
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

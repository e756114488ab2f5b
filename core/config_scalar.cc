#include "core/config_scalar.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

namespace tributary::config_internal {
namespace {

std::string LimitText(double limit, const Node& node) {
  if (std::holds_alternative<ByteSize*>(node.ref)) {
    return FormatByteSize({static_cast<std::uint64_t>(limit)});
  }
  if (std::holds_alternative<std::chrono::seconds*>(node.ref) ||
      std::holds_alternative<std::chrono::milliseconds*>(node.ref)) {
    return FormatDuration(std::chrono::milliseconds(std::llround(limit * 1000)));
  }
  char text[32];
  const auto [end, error] = std::to_chars(text, text + sizeof text, limit);
  return {text, error == std::errc() ? end : text};
}

template <typename T>
std::string ReadInteger(std::string_view text, T* out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *out);
  const bool whole = end == text.data() + text.size();
  if (whole && error == std::errc::result_out_of_range) {
    return Excerpt(text, 40) + " is out of range";
  }
  if (whole && error == std::errc()) return "";
  if constexpr (std::is_unsigned_v<T>) {
    if (text.starts_with('-'))
      return "must be a whole number that is not negative, got \"" + Excerpt(text, 40) + "\"";
  }
  return "must be a whole number, got \"" + Excerpt(text, 40) + "\"";
}

std::string ReadDouble(std::string_view text, double* out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *out);
  if (error == std::errc() && end == text.data() + text.size() && std::isfinite(*out)) return "";
  return "must be a finite number, got \"" + Excerpt(text, 40) + "\"";
}

std::string ReadBool(std::string_view text, bool* out) {
  *out = text == "true";
  if (*out || text == "false") return "";
  return "must be true or false, got \"" + Excerpt(text, 40) + "\"";
}

std::string ReadDuration(std::string_view text, std::chrono::milliseconds* out) {
  Result<std::chrono::milliseconds> duration = ParseDuration(text);
  if (!duration.ok()) return duration.status().message();
  *out = *duration;
  return "";
}

std::string ReadSeconds(std::string_view text, std::chrono::seconds* out) {
  std::chrono::milliseconds millis{};
  if (std::string problem = ReadDuration(text, &millis); !problem.empty()) return problem;
  *out = std::chrono::duration_cast<std::chrono::seconds>(millis);
  return *out == millis ? "" : "must be whole seconds, got \"" + Excerpt(text, 40) + "\"";
}

std::string ReadSize(std::string_view text, ByteSize* out) {
  Result<ByteSize> size = ParseByteSize(text);
  if (!size.ok()) return size.status().message();
  *out = *size;
  return "";
}

std::optional<double> NumberOf(const Node& node) {
  if (auto* const* v = std::get_if<int*>(&node.ref)) return **v;
  if (auto* const* v = std::get_if<std::int64_t*>(&node.ref)) return static_cast<double>(**v);
  if (auto* const* v = std::get_if<std::uint64_t*>(&node.ref)) return static_cast<double>(**v);
  if (auto* const* v = std::get_if<double*>(&node.ref)) return **v;
  if (auto* const* v = std::get_if<ByteSize*>(&node.ref)) return static_cast<double>((*v)->bytes);
  if (auto* const* v = std::get_if<std::chrono::seconds*>(&node.ref)) {
    return static_cast<double>((*v)->count());
  }
  if (auto* const* v = std::get_if<std::chrono::milliseconds*>(&node.ref)) {
    return static_cast<double>((*v)->count()) / 1000;
  }
  return std::nullopt;
}

std::string OneOfProblem(const std::string& text, const FieldOptions& options) {
  std::string known;
  for (const std::string& word : options.one_of) {
    known.append(known.empty() ? "" : ", ").append(word);
  }
  std::string problem = options.secret ? "is not known" : "\"" + Excerpt(text) + "\" is not known";
  if (const auto nearest = NearestName(text, options.one_of); nearest && !options.secret) {
    problem += "; did you mean \"" + *nearest + "\"?";
  }
  return problem + "; must be one of " + known;
}

}  // namespace

std::string ReadScalar(const YamlScalar& scalar, const Node& node) {
  if (auto* const* text = std::get_if<std::string*>(&node.ref)) {
    **text = scalar.text;
    return "";
  }
  if (auto* const* value = std::get_if<std::chrono::seconds*>(&node.ref)) {
    return ReadSeconds(scalar.text, *value);
  }
  if (auto* const* value = std::get_if<std::chrono::milliseconds*>(&node.ref)) {
    return ReadDuration(scalar.text, *value);
  }
  if (auto* const* value = std::get_if<ByteSize*>(&node.ref)) return ReadSize(scalar.text, *value);
  const bool is_bool = std::holds_alternative<bool*>(node.ref);
  if (scalar.quoted) {
    return std::string(is_bool ? "must be true or false" : "must be a number") + ", got text \"" +
           Excerpt(scalar.text, 40) + "\" in quotes";
  }
  if (is_bool) return ReadBool(scalar.text, std::get<bool*>(node.ref));
  if (auto* const* value = std::get_if<int*>(&node.ref)) return ReadInteger(scalar.text, *value);
  if (auto* const* value = std::get_if<std::int64_t*>(&node.ref)) {
    return ReadInteger(scalar.text, *value);
  }
  if (auto* const* value = std::get_if<std::uint64_t*>(&node.ref)) {
    return ReadInteger(scalar.text, *value);
  }
  return ReadDouble(scalar.text, std::get<double*>(node.ref));
}

std::string CheckLimits(const YamlScalar& scalar, const Node& node, const FieldOptions& options) {
  if (std::holds_alternative<std::string*>(node.ref)) {
    if (options.non_empty && scalar.text.empty()) return "must not be empty";
    const auto& words = options.one_of;
    if (!words.empty() && std::find(words.begin(), words.end(), scalar.text) == words.end()) {
      return OneOfProblem(scalar.text, options);
    }
    return "";
  }
  const std::optional<double> number = NumberOf(node);
  if (!number) return "";
  const bool below = options.min && *number < *options.min;
  const bool above = options.max && *number > *options.max;
  if (!below && !above) return "";
  std::string allowed;
  if (options.min && options.max) {
    allowed = LimitText(*options.min, node) + ".." + LimitText(*options.max, node);
  } else {
    allowed = below ? "at least " + LimitText(*options.min, node)
                    : "at most " + LimitText(*options.max, node);
  }
  return Excerpt(scalar.text, 40) + " is out of range; must be " + allowed;
}

}  // namespace tributary::config_internal

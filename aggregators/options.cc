#include "aggregators/options.h"

#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "core/text.h"

namespace tributary::aggregators {
namespace {

std::string NumberText(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.15g", value);
  return text;
}

Status Refuse(std::string_view name, const std::string& value, std::string problem) {
  return InvalidArgumentError("options." + std::string(name) + ": \"" + Excerpt(value) + "\" " +
                              std::move(problem));
}

template <typename Names>
std::string Listed(const Names& names) {
  std::string text;
  for (const auto& name : names) text += " " + std::string(name);
  return text;
}

Status RefuseUnknown(const std::string& name, std::span<const OptionSpec> specs) {
  std::vector<std::string> known;
  for (const OptionSpec& spec : specs) known.emplace_back(spec.name);
  std::string message = "options: \"" + Excerpt(name) + "\" is not known";
  if (const auto near = NearestName(name, known)) message += "; did you mean " + *near + "?";
  message += known.empty() ? "; there are no options" : "; known:" + Listed(known);
  return InvalidArgumentError(std::move(message));
}

Result<double> ReadNumber(const OptionSpec& spec, const std::string& value) {
  double number = 0;
  const char* end = value.data() + value.size();
  const auto read = std::from_chars(value.data(), end, number);
  const std::string range = NumberText(spec.least) + ".." + NumberText(spec.most);
  if (read.ec != std::errc() || read.ptr != end || !std::isfinite(number)) {
    return Refuse(spec.name, value, "is not a number; must be " + range);
  }
  if (number < spec.least || number > spec.most) {
    return Refuse(spec.name, value, "is out of range; must be " + range);
  }
  if (spec.whole && number != std::floor(number)) {
    return Refuse(spec.name, value, "is not a whole number; must be " + range);
  }
  return number;
}

Status CheckWord(const OptionSpec& spec, const std::string& value) {
  for (const std::string_view word : spec.words) {
    if (word == value) return OkStatus();
  }
  const std::vector<std::string> known(spec.words.begin(), spec.words.end());
  std::string problem = "is not allowed";
  if (const auto near = NearestName(value, known)) problem += "; did you mean " + *near + "?";
  return Refuse(spec.name, value, std::move(problem) + "; must be one of" + Listed(spec.words));
}

[[noreturn]] void Undeclared(std::string_view name) {
  std::fprintf(stderr, "option %.*s is not declared\n", static_cast<int>(name.size()), name.data());
  std::abort();
}

}  // namespace

Result<Options> Options::Read(const std::map<std::string, std::string>& given,
                              std::span<const OptionSpec> specs) {
  Options options;
  for (const OptionSpec& spec : specs) {
    const std::string name(spec.name);
    if (spec.text) {
      options.words_[name] = "";
    } else if (!spec.words.empty()) {
      options.words_[name] = spec.words[static_cast<std::size_t>(spec.fallback)];
    } else {
      options.numbers_[name] = spec.fallback;
    }
  }
  std::string problems;
  for (const auto& [name, value] : given) {
    Status status;
    const OptionSpec* spec = nullptr;
    for (const OptionSpec& each : specs) {
      if (each.name == name) spec = &each;
    }
    if (spec == nullptr) {
      status = RefuseUnknown(name, specs);
    } else if (spec->text || !spec->words.empty()) {
      if (!spec->text) status = CheckWord(*spec, value);
      options.words_[name] = value;
    } else if (const auto number = ReadNumber(*spec, value); number.ok()) {
      options.numbers_[name] = *number;
    } else {
      status = number.status();
    }
    if (!status.ok()) problems += (problems.empty() ? "" : "\n") + status.message();
  }
  if (!problems.empty()) return InvalidArgumentError(std::move(problems));
  return options;
}

double Options::Number(std::string_view name) const {
  const auto it = numbers_.find(name);
  if (it == numbers_.end()) Undeclared(name);
  return it->second;
}

std::int64_t Options::Integer(std::string_view name) const {
  return static_cast<std::int64_t>(Number(name));
}

const std::string& Options::Word(std::string_view name) const {
  const auto it = words_.find(name);
  if (it == words_.end()) Undeclared(name);
  return it->second;
}

}  // namespace tributary::aggregators

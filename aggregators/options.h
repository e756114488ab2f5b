// The options of one strategy (`aggregator.options` in a campaign file): declared once, with
// defaults and limits, for reading, for `tributary strategies` and for its documentation.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "core/status.h"

namespace tributary::aggregators {

// A number, one of a few words, or any text.
struct OptionSpec {
  std::string_view name;
  std::string_view meaning;  // one line
  double fallback = 0;       // with `words`: the index of the default
  double least = 0;
  double most = 0;
  std::span<const std::string_view> words = {};  // not empty: the value is one of these
  bool text = false;                             // a site's name, say; default empty
  bool whole = false;                            // a number without a fraction
};

// The `words` of what is off unless asked for.
inline constexpr std::string_view kNoYes[] = {"no", "yes"};

// Values of all declared options, defaults filled in.
class Options {
 public:
  // Invalid argument names the option, its value and what is allowed; an unknown one gets the
  // nearest suggestion.
  static Result<Options> Read(const std::map<std::string, std::string>& given,
                              std::span<const OptionSpec> specs);

  // The name must be declared: anything else is a bug of ours and aborts.
  double Number(std::string_view name) const;
  std::int64_t Integer(std::string_view name) const;
  const std::string& Word(std::string_view name) const;  // or text

 private:
  std::map<std::string, double, std::less<>> numbers_;
  std::map<std::string, std::string, std::less<>> words_;
};

}  // namespace tributary::aggregators

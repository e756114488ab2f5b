// Durations and sizes as configuration files write them.
#include <array>
#include <charconv>
#include <limits>

#include "core/config.h"

namespace tributary {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};
constexpr std::array<Unit, 5> kDurationUnits = {
    {{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}}};
constexpr std::array<Unit, 9> kSizeUnits = {{{"B", 1},
                                             {"kB", 1000},
                                             {"KiB", 1 << 10},
                                             {"MB", 1'000'000},
                                             {"MiB", 1 << 20},
                                             {"GB", 1'000'000'000},
                                             {"GiB", 1 << 30},
                                             {"TB", 1'000'000'000'000},
                                             {"TiB", std::uint64_t{1} << 40}}};

template <std::size_t N>
Result<std::uint64_t> ParseWithUnit(std::string_view text, const std::array<Unit, N>& units,
                                    std::string_view form) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit_name(end, static_cast<std::size_t>(text.data() + text.size() - end));
  const Status wrong =
      InvalidArgumentError("must be " + std::string(form) + ", got \"" + Excerpt(text, 40) + "\"");
  if (error == std::errc::invalid_argument) return wrong;
  for (const Unit& unit : units) {
    if (unit.name != unit_name) continue;
    constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    if (error == std::errc::result_out_of_range || number > kMax / unit.factor) {
      return InvalidArgumentError("\"" + Excerpt(text, 40) + "\" is too large");
    }
    return number * unit.factor;
  }
  return wrong;
}

template <std::size_t N>
std::string FormatWithUnit(std::uint64_t value, const std::array<Unit, N>& units) {
  const Unit* best = &units[0];
  for (const Unit& unit : units) {
    if (value != 0 && value % unit.factor == 0) best = &unit;
  }
  return std::to_string(value / best->factor) + std::string(best->name);
}

}  // namespace

Result<ByteSize> ParseByteSize(std::string_view text) {
  TRIBUTARY_ASSIGN_OR_RETURN(
      const std::uint64_t bytes,
      ParseWithUnit(text, kSizeUnits, "a size such as 512B, 64KiB, 10MB, 2GiB"));
  return ByteSize{bytes};
}

Result<std::chrono::milliseconds> ParseDuration(std::string_view text) {
  TRIBUTARY_ASSIGN_OR_RETURN(
      const std::uint64_t millis,
      ParseWithUnit(text, kDurationUnits, "a duration such as 250ms, 90s, 10m, 2h, 1d"));
  return std::chrono::milliseconds(static_cast<std::int64_t>(millis));
}

std::string FormatByteSize(ByteSize size) { return FormatWithUnit(size.bytes, kSizeUnits); }

std::string FormatDuration(std::chrono::milliseconds duration) {
  const std::int64_t millis = duration.count();
  if (millis == 0) return "0s";
  if (millis < 0) return "-" + FormatDuration(-duration);
  return FormatWithUnit(static_cast<std::uint64_t>(millis), kDurationUnits);
}

}  // namespace tributary

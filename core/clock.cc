#include "core/clock.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace tributary {
namespace {

// Reads exactly `digits` decimal digits.
bool TakeNumber(std::string_view* text, std::size_t digits, int* number) {
  if (text->size() < digits) return false;
  *number = 0;
  for (std::size_t i = 0; i < digits; ++i) {
    const char c = (*text)[i];
    if (c < '0' || c > '9') return false;
    *number = *number * 10 + (c - '0');
  }
  text->remove_prefix(digits);
  return true;
}

bool TakeCharacter(std::string_view* text, char wanted) {
  if (text->empty() || text->front() != wanted) return false;
  text->remove_prefix(1);
  return true;
}

bool TakeFraction(std::string_view* text, int* micros) {
  *micros = 0;
  if (!TakeCharacter(text, '.')) return true;
  std::size_t digits = 0;
  while (digits < text->size() && (*text)[digits] >= '0' && (*text)[digits] <= '9') ++digits;
  if (digits == 0 || digits > 6 || !TakeNumber(text, digits, micros)) return false;
  for (; digits < 6; ++digits) *micros *= 10;
  return true;
}

}  // namespace

std::string FormatTimestamp(Timestamp time) {
  using namespace std::chrono;
  constexpr Timestamp kFirst = sys_days(year(0) / January / 1);
  constexpr Timestamp kLast = sys_days(year(10000) / January / 1) - microseconds(1);
  time = std::clamp(time, kFirst, kLast);
  const sys_days day = floor<days>(time);
  const year_month_day date(day);
  const hh_mm_ss clock(time - day);
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), "%04d-%02u-%02uT%02d:%02d:%02d.%06dZ",
                static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                static_cast<unsigned>(date.day()), static_cast<int>(clock.hours().count()),
                static_cast<int>(clock.minutes().count()),
                static_cast<int>(clock.seconds().count()),
                static_cast<int>(clock.subseconds().count()));
  return text.data();
}

Result<Timestamp> ParseTimestamp(std::string_view text) {
  using namespace std::chrono;
  std::string_view rest = text;
  int y = 0, mo = 0, d = 0, h = 0, mi = 0, s = 0, micros = 0;
  const bool read =
      TakeNumber(&rest, 4, &y) && TakeCharacter(&rest, '-') && TakeNumber(&rest, 2, &mo) &&
      TakeCharacter(&rest, '-') && TakeNumber(&rest, 2, &d) && TakeCharacter(&rest, 'T') &&
      TakeNumber(&rest, 2, &h) && TakeCharacter(&rest, ':') && TakeNumber(&rest, 2, &mi) &&
      TakeCharacter(&rest, ':') && TakeNumber(&rest, 2, &s) && TakeFraction(&rest, &micros) &&
      TakeCharacter(&rest, 'Z') && rest.empty();
  const year_month_day date{year(y), month(static_cast<unsigned>(mo)),
                            day(static_cast<unsigned>(d))};
  if (!read || !date.ok() || h > 23 || mi > 59 || s > 59) {
    return InvalidArgumentError("time \"" + std::string(text.substr(0, 40)) +
                                "\" is not of the form 2026-03-01T09:30:00Z");
  }
  return Timestamp(sys_days(date)) + hours(h) + minutes(mi) + seconds(s) + microseconds(micros);
}

Timestamp SystemClock::Now() const {
  return std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now());
}

std::chrono::microseconds SystemClock::Elapsed() const {
  return std::chrono::duration_cast<std::chrono::microseconds>(
      std::chrono::steady_clock::now().time_since_epoch());
}

std::chrono::microseconds FakeClock::Elapsed() const {
  MutexLock lock(mutex_);
  return elapsed_;
}

Timestamp FakeClock::Now() const {
  MutexLock lock(mutex_);
  return now_;
}

void FakeClock::Advance(std::chrono::microseconds by) {
  MutexLock lock(mutex_);
  now_ += by;
  elapsed_ += by;
}

void FakeClock::Set(Timestamp now) {
  MutexLock lock(mutex_);
  now_ = now;
}

}  // namespace tributary

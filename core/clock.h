// Wall time as a value that is passed in, so that everything that depends on it can be tested in
// virtual time.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/mutex.h"
#include "core/status.h"

namespace tributary {

// Microseconds since the Unix epoch, UTC.
using Timestamp = std::chrono::sys_time<std::chrono::microseconds>;

inline Timestamp TimestampFromMicros(std::int64_t micros) {
  return Timestamp(std::chrono::microseconds(micros));
}
inline std::int64_t ToMicros(Timestamp time) { return time.time_since_epoch().count(); }

// "2026-03-01T09:30:00.000250Z": ISO 8601, UTC, always six decimals, so that texts sort as times
// do. A time outside the years 0000 to 9999 is written as the first or the last one inside.
std::string FormatTimestamp(Timestamp time);
// Exactly what FormatTimestamp writes; the fraction may be absent or have one to six digits.
Result<Timestamp> ParseTimestamp(std::string_view text);

// Where times come from: Now() for what is written down, Elapsed() for how long something took or
// may take, because the machine's clock may be set at any time. Any thread.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual Timestamp Now() const = 0;
  // Since a moment that stays the same in this process. Never goes back, never jumps.
  virtual std::chrono::microseconds Elapsed() const = 0;
};

// The machine's clock. Any thread.
class SystemClock final : public Clock {
 public:
  Timestamp Now() const override;
  std::chrono::microseconds Elapsed() const override;
};

// Stands still until it is moved: by time that passes, or by somebody who sets the machine's clock.
// Any thread.
class FakeClock final : public Clock {
 public:
  explicit FakeClock(Timestamp now = Timestamp{}) : now_(now) {}

  Timestamp Now() const override;
  std::chrono::microseconds Elapsed() const override;
  void Advance(std::chrono::microseconds by);
  void Set(Timestamp now);

 private:
  mutable Mutex mutex_;
  Timestamp now_ TRIBUTARY_GUARDED_BY(mutex_);
  std::chrono::microseconds elapsed_ TRIBUTARY_GUARDED_BY(mutex_){0};
};

}  // namespace tributary

// Lines that a peer can cause as often as it likes: some of them are written, the rest is counted.
#pragma once

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "core/log.h"
#include "core/mutex.h"

namespace tributary {

// Thread-safe.
class LogLimit {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // At most `lines` of one cause in each `period`.
  explicit LogLimit(int lines = 10, std::chrono::seconds period = std::chrono::minutes(1))
      : lines_(lines), period_(period) {}

  // Whether to write a line of `cause` now: how many of it were left out since the last one that
  // was written; nullopt: be silent.
  std::optional<std::uint64_t> Admit(std::string_view cause, Time now);

  // Log(), unless there was enough of `cause`: who did what, "site-1 progress". The next line of it
  // that is written says how many were left out.
  void Log(std::string_view cause, LogLevel level, std::string_view component,
           std::string_view message, std::initializer_list<LogField> fields);

 private:
  struct Cause {
    Time since;
    int written = 0;
    std::uint64_t left_out = 0;
  };

  const int lines_;
  const std::chrono::seconds period_;
  Mutex mutex_;
  std::map<std::string, Cause, std::less<>> causes_ TRIBUTARY_GUARDED_BY(mutex_);
};

}  // namespace tributary

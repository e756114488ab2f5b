// Spans of time as the ledger and reports count them.
#pragma once

#include <algorithm>
#include <chrono>

#include "core/clock.h"

namespace tributary::client {

// 0 where the clock was set back in between.
inline double Seconds(Timestamp from, Timestamp to) {
  return std::max(0.0, std::chrono::duration<double>(to - from).count());
}

}  // namespace tributary::client

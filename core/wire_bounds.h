// How much a site may say at most. The server refuses more (server/message_check.h); a site stays
// below, whatever its trainer writes.
#pragma once

#include <cstddef>

namespace tributary {

inline constexpr std::size_t kMaxStatementBytes = std::size_t{64} << 10;
inline constexpr std::size_t kMaxStatementMessage = 500;  // also of the reason of an answer
inline constexpr int kMaxMetrics = 256;                   // of one report
inline constexpr std::size_t kMaxMetricName = 128;
inline constexpr std::size_t kMaxDeviceName = 128;
inline constexpr int kMaxKnownTasks = 4096;  // that a site works on

}  // namespace tributary

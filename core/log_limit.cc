#include "core/log_limit.h"

#include <vector>

namespace tributary {
namespace {

constexpr std::size_t kMaxCauses = 4096;  // more of them share one
constexpr std::string_view kOthers = "others";

}  // namespace

std::optional<std::uint64_t> LogLimit::Admit(std::string_view cause, Time now) {
  MutexLock lock(mutex_);
  if (causes_.size() >= kMaxCauses && !causes_.contains(cause)) {
    // Those that have been quiet make room; a line that none of them will write is not counted.
    std::erase_if(causes_, [&](const auto& entry) { return now - entry.second.since >= period_; });
    if (causes_.size() >= kMaxCauses) cause = kOthers;
  }
  auto it = causes_.find(cause);
  if (it == causes_.end()) it = causes_.emplace(std::string(cause), Cause{now}).first;
  Cause& entry = it->second;
  if (now - entry.since >= period_) {
    entry.since = now;
    entry.written = 0;
  }
  if (entry.written >= lines_) {
    ++entry.left_out;
    return std::nullopt;
  }
  ++entry.written;
  return std::exchange(entry.left_out, 0);
}

void LogLimit::Log(std::string_view cause, LogLevel level, std::string_view component,
                   std::string_view message, std::initializer_list<LogField> fields) {
  if (!LogEnabled(level)) return;
  const auto left_out = Admit(cause, std::chrono::steady_clock::now());
  if (!left_out) return;
  std::vector<LogField> all(fields);
  if (*left_out > 0) all.emplace_back("left_out", *left_out);
  tributary::Log(level, component, message, all);
}

}  // namespace tributary

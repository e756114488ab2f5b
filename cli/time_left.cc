#include "cli/time_left.h"

#include <algorithm>

namespace tributary::cli {
namespace {

constexpr std::chrono::seconds kWindow{60};
constexpr std::chrono::seconds kLeast{2};  // of looking on, before anything is said

}  // namespace

void TimeLeft::Note(Time now, std::int64_t done) {
  seen_.emplace_back(now, done);
  // One that is older than the window stays, so that the window is covered.
  while (seen_.size() > 2 && now - seen_[1].first >= kWindow) seen_.pop_front();
}

std::optional<std::chrono::seconds> TimeLeft::Left() const {
  if (seen_.empty()) return std::nullopt;
  const auto& [begin, before] = seen_.front();
  const auto& [end, done] = seen_.back();
  const std::chrono::duration<double> taken = end - begin;
  if (taken < kLeast || done <= before) return std::nullopt;
  const double steps = static_cast<double>(std::max<std::int64_t>(total_ - done, 0));
  return std::chrono::ceil<std::chrono::seconds>(taken *
                                                 (steps / static_cast<double>(done - before)));
}

std::string LeftText(std::chrono::seconds left) {
  constexpr std::int64_t kMinute = 60;
  const std::int64_t seconds = left.count();
  if (seconds < 90) {
    const std::int64_t rounded = seconds <= 10 ? seconds : (seconds + 4) / 5 * 5;
    return "about " + std::to_string(rounded) + " s left";
  }
  return "about " + std::to_string((seconds + kMinute / 2) / kMinute) + " min left";
}

}  // namespace tributary::cli

#include "server/deadline_watch.h"

#include <algorithm>

#include "server/engine.h"

namespace tributary::server {

void DeadlineWatch::Look(const State& state, const Clock& clock) {
  const std::map<std::string, Timestamp> deadlines = Deadlines(state);
  std::erase_if(waits_, [&](const auto& entry) {
    const auto it = deadlines.find(entry.first);
    return it == deadlines.end() || it->second != entry.second.deadline;
  });
  for (const auto& [campaign, deadline] : deadlines) {
    if (waits_.contains(campaign)) continue;
    const auto left = std::max(deadline - clock.Now(), std::chrono::microseconds(0));
    waits_[campaign] = {deadline, clock.Elapsed() + left};
  }
}

std::optional<std::string> DeadlineWatch::Due(const Clock& clock) const {
  const auto first =
      std::min_element(waits_.begin(), waits_.end(),
                       [](const auto& a, const auto& b) { return a.second.due < b.second.due; });
  if (first == waits_.end() || first->second.due > clock.Elapsed()) return std::nullopt;
  return first->first;
}

}  // namespace tributary::server

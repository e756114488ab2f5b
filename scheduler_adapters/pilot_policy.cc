#include "scheduler_adapters/pilot_policy.h"

#include <algorithm>
#include <vector>

namespace tributary::scheduler_adapters {
namespace {

using std::chrono::seconds;

bool IsNearlyOver(const LivePilot& pilot, std::span<const seconds> waiting,
                  const PilotLimits& limits) {
  if (!pilot.running || !pilot.left) return false;
  if (*pilot.left < limits.successor_before) return true;
  return !waiting.empty() && std::none_of(waiting.begin(), waiting.end(), [&](seconds walltime) {
    return FitsPilot(walltime, pilot.left);
  });
}

// Tasks that no idle or queued pilot has room for; a pilot is counted on for one.
std::int64_t CountUncovered(std::span<const seconds> waiting, std::span<const LivePilot> pilots) {
  std::vector<const LivePilot*> free;
  for (const LivePilot& pilot : pilots) {
    if (!pilot.busy) free.push_back(&pilot);
  }
  std::int64_t uncovered = 0;
  for (const seconds walltime : waiting) {
    const auto taker = std::find_if(free.begin(), free.end(), [&](const LivePilot* pilot) {
      return FitsPilot(walltime, pilot->left);
    });
    if (taker == free.end()) {
      ++uncovered;
    } else {
      free.erase(taker);
    }
  }
  return uncovered;
}

seconds StartMargin(seconds walltime) { return std::min(seconds(60), walltime / 10 + seconds(1)); }

}  // namespace

bool FitsPilot(seconds walltime, std::optional<seconds> left) {
  return !left || walltime + kPilotReserve <= *left;
}

bool WantsPilot(std::span<const seconds> waiting, std::span<const LivePilot> pilots,
                const PilotLimits& limits) {
  std::int64_t fresh = 0;
  std::int64_t to_succeed = 0;
  for (const LivePilot& pilot : pilots) {
    if (!IsNearlyOver(pilot, waiting, limits)) {
      ++fresh;
    } else if (pilot.busy || pilot.idle <= limits.idle_timeout / 2) {
      ++to_succeed;
    }
  }
  const auto most = static_cast<std::size_t>(2 * limits.max_pilots);
  if (fresh >= limits.max_pilots || pilots.size() >= most) return false;
  return CountUncovered(waiting, pilots) > 0 || to_succeed > fresh;
}

PilotWalltime WalltimeFor(seconds configured, std::span<const seconds> waiting) {
  if (configured.count() == 0) return {};
  PilotWalltime walltime{configured, configured - StartMargin(configured)};
  for (const seconds task : waiting)
    walltime.serve = std::max(walltime.serve, task + 2 * kPilotReserve);
  walltime.job = std::max(configured, walltime.serve + StartMargin(walltime.serve));
  return walltime;
}

seconds PilotBackoff(int failures) {
  constexpr int kMostDoublings = 7;
  return failures <= 0 ? seconds(0) : seconds(5) * (1 << std::min(failures - 1, kMostDoublings));
}

}  // namespace tributary::scheduler_adapters

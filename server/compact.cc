// What leaves the state because the journal has it (apply.h).
#include <algorithm>
#include <chrono>
#include <map>

#include "core/late_round.h"
#include "server/apply.h"

namespace tributary::server {
namespace {

// Closed rounds before the open one that stay whole: people watch them.
constexpr std::size_t kClosedRoundsKept = 2;
constexpr std::chrono::minutes kEndedKept{1};

// What it had is in the journal from now on.
void LetGo(Round* round) {
  round->past = true;
  round->sites = std::vector<std::string>();  // with its memory
  round->tasks.clear();
  round->metrics.clear();
  round->left_out.clear();
  round->counted.clear();
}

}  // namespace

void Compact(Campaign* campaign, Timestamp now, std::size_t kept_tasks) {
  const bool ended = campaign->ended();
  if (ended && (!campaign->ended_at || now - *campaign->ended_at < kEndedKept)) return;
  const std::size_t rounds = campaign->rounds.size();
  const std::size_t kept = ended ? 0 : kClosedRoundsKept + 1;
  if (rounds <= kept || (!ended && campaign->tasks.size() <= kept_tasks)) return;

  std::map<std::int64_t, std::size_t> settled;  // round -> so many of its tasks
  std::map<std::int64_t, std::size_t> open;
  for (const auto& [id, task] : campaign->tasks) {
    ++(task.phase == TaskPhase::kOutstanding ? open : settled)[task.counts_in()];
  }
  std::size_t left = campaign->tasks.size();
  bool any = false;
  for (const auto& [number, count] : settled) {
    Round& round = campaign->rounds[static_cast<std::size_t>(number - 1)];
    const bool late = static_cast<std::int64_t>(rounds) - number >= kLateAfterRounds;
    if (static_cast<std::size_t>(number) + kept > rounds) break;
    if (!ended && left <= kept_tasks) break;
    if (round.entry == 0 || (!ended && !late && open.contains(number) && !round.past)) continue;
    if (!round.past) LetGo(&round);
    left -= count;
    any = true;
  }
  if (!any) return;
  std::erase_if(campaign->tasks, [&](const auto& entry) {
    const Task& task = entry.second;
    return task.phase != TaskPhase::kOutstanding &&
           campaign->rounds[static_cast<std::size_t>(task.counts_in() - 1)].past;
  });
}

void Compact(State* state, Timestamp now, std::size_t kept_tasks) {
  for (auto& [id, campaign] : state->campaigns) Compact(&campaign, now, kept_tasks);
}

}  // namespace tributary::server

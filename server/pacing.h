// Who trains when, for how many local steps, and when a round closes.
//
// A pacing is a pure policy: it takes a snapshot and returns a value; no clock, no I/O, no
// randomness but what the snapshot's seed gives. To write one: derive here, add a line to the table
// in pacing.cc.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/campaign_file.h"
#include "core/status.h"
#include "server/campaign_state.h"

namespace tributary::server {

struct PlanInput {
  std::int64_t round = 1;
  std::vector<std::string> eligible;  // sites that accepted, sorted
  std::uint64_t seed = 0;             // of the campaign and this round
  std::int64_t least = 1;             // updates without which the round cannot be folded
  std::int64_t carried = 0;           // tasks that it takes over from the round before
  std::int64_t late = 0;              // of those, given out many rounds ago (core/late_round.h)
};

struct SitePlan {
  std::string site;
  std::int64_t steps = 0;
  double learning_rate_scale = 1;
};

struct RoundPlan {
  bool enough = false;               // else it could never close, and does not open
  std::vector<SitePlan> sites;       // that get a task, sorted by name
  std::chrono::seconds deadline{0};  // from now; 0: none
};

struct RoundView {
  std::int64_t selected = 0;  // sites with a task of it
  std::int64_t accepted = 0;
  std::int64_t failed = 0;  // for good: no attempt left
  bool deadline_passed = false;
  std::int64_t least = 1;  // as PlanInput has it
};

enum class Decision : std::uint8_t {
  kWait,
  kClose,       // aggregate what was accepted
  kImpossible,  // nothing is outstanding and the quorum was missed
};

class Pacing {
 public:
  virtual ~Pacing() = default;
  virtual RoundPlan Plan(const PlanInput& input) const = 0;
  virtual Decision Decide(const RoundView& view) const = 0;
  // Sites that must accept before the first round may open, of `named` sites in the file.
  virtual std::int64_t SitesNeeded(std::int64_t named) const = 0;
  // Updates without which no round closes.
  virtual std::int64_t LeastUpdates() const = 0;
  // What is still out when a round closes goes on and counts in a later one, and a round may close
  // while it waits for somebody. Else it is withdrawn.
  virtual bool Carries() const = 0;
};

// Not found for an unknown kind, with the known ones in the message; invalid argument names the
// key.
Result<std::unique_ptr<Pacing>> MakePacing(const CampaignFile& file);

// The same for a campaign's file, which was checked at its submission.
std::unique_ptr<Pacing> PacingOf(const Campaign& campaign);

// A seeded choice of `wanted` of the sites, sorted as they are: those with the smallest hashes of
// (seed, name).
std::vector<std::string> ChooseSites(const std::vector<std::string>& sites, std::size_t wanted,
                                     std::uint64_t seed);

}  // namespace tributary::server

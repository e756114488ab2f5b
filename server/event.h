// Everything that can happen to the campaign engine. Events are journaled; what they do to the
// state is in apply.cc, and only that. First what comes from outside, then what the engine decided
// because of it (decide.h): all that a policy chose is in the event, so that a journal is folded
// without asking any policy again.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "server/campaign_state.h"

namespace tributary::server {

// 0: journals from before there were rules. 1: failed evaluations are tried again, and a paused
// campaign still closes a round that has every update. 2: no round opens, stays open or closes with
// fewer sites than the aggregator can fold. 3: others take the places of dropped sites in an open
// round of chosen ones.
inline constexpr std::int64_t kCurrentRules = 3;

struct SiteEnrolled {
  std::string site;
  std::string certificate_fingerprint;
};
struct CampaignSubmitted {
  std::string campaign;  // its id: the file's name, or name@2 and so on (CampaignIdFor)
  std::string lead;
  std::string yaml;  // effective text
  Digest initial_digest;
  std::uint64_t initial_bytes = 0;
  // What a campaign does follows from the rules that it was submitted under: a journal of last year
  // folds to the same state under this year's.
  std::int64_t rules = kCurrentRules;
};
struct CampaignAnswered {
  std::string campaign;
  std::string site;
  bool accepted = false;
  std::string reason;
};
struct CampaignPaused {
  std::string campaign;
  std::string by;
};
// Of the open round: the sites in `without` are left out of it; with `again` all others are asked
// for their updates once more.
struct CampaignResumed {
  std::string campaign;
  std::string by;
  std::vector<std::string> without = {};
  bool again = false;
};
// The lead changes a live campaign. What is not named stays as it is.
struct CampaignChanged {
  std::string campaign;
  std::string by;
  std::int64_t rounds = 0;             // 0: as they are
  std::int64_t deadline_seconds = -1;  // of each round, from now for an open one; -1: as it is
  bool start = false;                  // gathering ends with the sites that accepted
  std::vector<std::string> drop = {};  // sites that leave the campaign for good
};
struct CampaignCancelled {
  std::string campaign;
  std::string by;
};
// A valid train update, verified and spooled, or a valid evaluation.
struct UpdateAccepted {
  std::string task;
  ReportFacts facts;
};
// The site reported a failure, or its update was refused.
struct TaskFailed {
  std::string task;
  std::string reason;
  bool refused = false;  // by a rule that would refuse the same bits again
};
struct VersionPublished {
  std::string campaign;
  std::int64_t round = 0;
  Digest digest;
  std::uint64_t bytes = 0;
  std::map<std::string, BlobRef> state = {};  // all that the next round needs
  std::map<std::string, double> numbers = {};
  BlobRef merged = {};
  std::int64_t closing =
      0;  // of the round, whose updates were folded (Round::closings); 0: not said
};
struct AggregationFailed {
  std::string campaign;
  std::int64_t round = 0;
  std::string reason;
  std::int64_t closing = 0;
};
// A fold begins. `tries` counts this one and those before it whose end is not known: the server
// ended meanwhile. One less takes a try back, when the server is stopped in good order.
struct AggregationTried {
  std::string campaign;
  std::int64_t round = 0;
  std::int64_t tries = 0;
  std::int64_t closing = 0;
};
// What was accepted for the round is not on this server's disk any more as the site sent it.
struct UpdateDamaged {
  std::string task;
  std::string reason;
};
// The file of a version is not on this server's disk any more as it was published.
struct VersionDamaged {
  std::string campaign;
  std::int64_t version = 0;
  std::string reason;
};
// And is again.
struct VersionRestored {
  std::string campaign;
  std::int64_t version = 0;
};
struct DeadlinePassed {
  std::string campaign;
};

// --- decided by the engine ---

// The campaign is in this phase now; with a time it may not last longer than that.
struct PhaseStarted {
  std::string campaign;
  CampaignPhase phase = CampaignPhase::kGathering;
  std::optional<Timestamp> deadline = {};
};
// What it waits for, for people.
struct CampaignNoted {
  std::string campaign;
  std::string note;
};
// It waits for somebody who resumes it.
struct CampaignHeld {
  std::string campaign;
  std::string note;
};
// Its file as it is from now on, in its effective form.
struct CampaignRevised {
  std::string campaign;
  std::string yaml;
};
// The next round, with a task for each of its sites. `carried`: tasks that the round before closed
// without, as they are now; this one waits for them, or has their updates already.
struct RoundOpened {
  std::string campaign;
  std::int64_t round = 0;
  std::vector<Task> tasks = {};
  std::vector<Task> carried = {};
};
// Further tasks: of sites that take part in an open round from now on, of those that try again, and
// evaluations. A train task takes the place of its site's one before.
struct TasksGiven {
  std::string campaign;
  std::vector<Task> tasks = {};
};
// A task ends otherwise than by its site's report, or what it sent does not count any more.
struct TaskSettled {
  std::string task;
  TaskPhase phase = TaskPhase::kFailed;
  std::string reason = {};
};
// The round waits for nobody any more: these tasks' updates become the next version.
struct RoundClosed {
  std::string campaign;
  std::int64_t round = 0;
  std::vector<std::string> counted = {};
};
// It waits again, without these sites.
struct RoundReopened {
  std::string campaign;
  std::int64_t round = 0;
  std::vector<std::string> without = {};
};
// The fold is tried anew.
struct FoldRequested {
  std::string campaign;
  std::int64_t round = 0;
};
// Its version is published.
struct RoundFinished {
  std::string campaign;
  std::int64_t round = 0;
  double mean_loss = 0;
};

using Event =
    std::variant<SiteEnrolled, CampaignSubmitted, CampaignAnswered, CampaignPaused, CampaignResumed,
                 CampaignCancelled, UpdateAccepted, TaskFailed, VersionPublished, AggregationFailed,
                 DeadlinePassed, AggregationTried, UpdateDamaged, CampaignChanged, VersionDamaged,
                 VersionRestored, PhaseStarted, CampaignNoted, CampaignHeld, CampaignRevised,
                 RoundOpened, TasksGiven, TaskSettled, RoundClosed, RoundReopened, FoldRequested,
                 RoundFinished>;

// Whether the engine decided it; else it came from outside.
bool IsDecision(const Event& event);

// The id of the campaign that the event is about; empty for SiteEnrolled.
std::string CampaignOf(const Event& event);

}  // namespace tributary::server

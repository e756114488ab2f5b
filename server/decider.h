// What follows for one campaign from what happened to it: every policy of the engine (engine.h) is
// here. Nothing else uses it.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "server/action.h"
#include "server/campaign_state.h"
#include "server/event.h"

namespace tributary::server {

// 64 bits keyed by what they are for; the same on every platform.
std::uint64_t SeedFor(std::int64_t campaign_seed, std::int64_t round, std::string_view site);

// Who takes the places that sites leave, dropped or in `dropped`, without an update in the open
// round of a campaign with pacing.sites_per_round: of those that accepted and were not chosen, by
// the seed.
std::vector<std::string> SubstitutesFor(const Campaign& campaign,
                                        const std::set<std::string>& dropped = {});

// Decides one event at a time after the other: each decision is applied at once, so that the next
// one sees it, and kept for the journal. Lives for one call of Step(); borrows the state, in which
// the event that came from outside has been applied, and what it appends to.
class Decider {
 public:
  // `entry`: the event's number in the journal; 0: there is none.
  Decider(State* state, const std::string& campaign, Timestamp now, std::int64_t entry,
          std::vector<Event>* decisions, std::vector<Action>* actions)
      : state_(*state),
        campaign_(state->campaigns.at(campaign)),
        now_(now),
        entry_(entry),
        decisions_(*decisions),
        actions_(*actions) {}

  // What follows from the event at once.
  void React(const CampaignSubmitted& event);
  void React(const CampaignAnswered& event);
  void React(const CampaignResumed& event);
  void React(const CampaignChanged& event);
  void React(const CampaignCancelled& event);
  void React(const UpdateAccepted& event);
  void React(const TaskFailed& event);
  void React(const VersionPublished& event);
  void React(const AggregationFailed& event);
  void React(const UpdateDamaged& event);
  void React(const VersionDamaged& event);
  template <typename E>
  void React(const E& /*nothing*/) {}

  // Then: moves the campaign as far as it can go now.
  void Advance();

 private:
  void Decide(Event decision);
  void Hold(std::string note) { Decide(CampaignHeld{campaign_.id, std::move(note)}); }
  void Note(std::string note);

  // In decider_changes.cc: what the lead decides about sites and rounds.
  void Drop(const std::string& site, const std::string& by);
  void FollowRounds();
  void LeaveOut(const std::string& site, const std::string& by, RemoveBlobs* spooled);
  void AskAgain(const std::string& by, RemoveBlobs* spooled);
  void ReopenRound(const CampaignResumed& event);

  bool IsCounted(const Round& round, const Task& task) const;
  std::string WaitedFor(const Round& round) const;
  bool IsWhole(const Round& round) const;
  bool AllRoundsDone() const;
  void EndTraining(RemoveBlobs* spooled);
  std::vector<Task> CarriedTasks() const;
  std::vector<std::string> AcceptedSites() const;
  void StartPhase(CampaignPhase phase, std::chrono::seconds deadline);
  void Gather();
  void OpenRound();
  void FillRound();
  void DecideRound();
  void CloseRound();
  void Finish();
  void Evaluate(const Round& round);
  Task MakeTask(TaskKind kind, std::int64_t round, const std::string& site,
                std::int64_t attempt) const;
  void Give(std::vector<Task> tasks);
  enum class Again { kAutomatic, kByHand, kNoFault };
  void Retry(const std::string& site, Again again);
  void RetryEvaluation(const Task& failed);
  bool Evaluates(const std::string& site) const;
  bool HasEvaluations(const Round& round) const;
  void Withdraw(const std::string& task, TaskPhase phase, const std::string& reason);
  std::vector<std::string> OutstandingTasks(std::string_view site = {}) const;
  void CloseAtSites();

  State& state_;
  const Campaign& campaign_;
  const Timestamp now_;
  const std::int64_t entry_;
  bool places_may_be_free_ = false;  // in the open round
  std::vector<Event>& decisions_;
  std::vector<Action>& actions_;
};

}  // namespace tributary::server

// One step of one campaign: the life of its rounds. Part of the engine (engine.h); nothing else
// uses it.
#pragma once

#include <cstdint>
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

// Mutates the campaign and appends actions. Lives for one call of Step(); borrows both.
class CampaignStep {
 public:
  CampaignStep(Campaign& campaign, Timestamp now, std::vector<Action>* actions)
      : campaign_(campaign), now_(now), actions_(*actions) {}

  void Begin();    // a new campaign: offers it to its sites
  void Advance();  // moves the campaign as far as it can go now
  void Pause(std::string note);
  void Resume(const CampaignResumed& event);
  void Change(const CampaignChanged& event);
  void Cancel(const std::string& by);
  void Answer(const std::string& site, bool accepted, const std::string& reason);
  void Accept(Task& task, const ReportFacts& facts);
  void Fail(Task& task, const std::string& reason, bool refused);
  void Try(std::int64_t tries);
  void Spoil(Task& task, const std::string& reason);
  void NoteDamage(std::int64_t version, const std::string& reason);
  void GiveUpFold(std::int64_t round, const std::string& reason);
  void Publish(const VersionPublished& event);

 private:
  // In campaign_change.cc: what the lead decides about sites and rounds.
  void Drop(const std::string& site, const std::string& by);
  void ChangeRounds(std::int64_t rounds);
  void LeaveOut(const std::string& site, const std::string& by, RemoveBlobs* spooled);
  void AskAgain(const std::string& by, RemoveBlobs* spooled);
  void ReopenRound(const CampaignResumed& event);

  bool IsCounted(const Round& round, const Task& task) const;
  bool IsWhole(const Round& round) const;
  bool AllRoundsDone() const;
  std::vector<std::string> AcceptedSites() const;
  void StartPhase(CampaignPhase phase, std::chrono::seconds deadline);
  void Gather();
  void OpenRound();
  void FillRound();
  void DecideRound();
  void CloseRound(Round& round);
  void Finish();
  void Evaluate(const Round& round);
  Task MakeTask(TaskKind kind, std::int64_t round, const std::string& site,
                std::int64_t attempt) const;
  void Assign(Task task);
  enum class Again { kAutomatic, kByHand, kNoFault };
  void Retry(const std::string& site, Again again);
  void RetryEvaluation(const Task& failed);
  bool HasEvaluations(const Round& round) const;
  void Withdraw(Task& task, TaskPhase phase, const std::string& reason);
  void CloseAtSites();

  Campaign& campaign_;
  const Timestamp now_;
  std::vector<Action>& actions_;
};

}  // namespace tributary::server

// One step of one campaign: the life of its rounds. Part of the engine (engine.h); nothing else
// uses it.
#pragma once

#include <string>
#include <vector>

#include "server/action.h"
#include "server/campaign_state.h"
#include "server/event.h"

namespace tributary::server {

// Mutates the campaign and appends actions. Lives for one call of Step(); borrows both.
class CampaignStep {
 public:
  CampaignStep(Campaign& campaign, Timestamp now, std::vector<Action>* actions)
      : campaign_(campaign), now_(now), actions_(*actions) {}

  void Begin();    // a new campaign: offers it to its sites
  void Advance();  // moves the campaign as far as it can go now
  void Pause(std::string note);
  void Resume();
  void Cancel(const std::string& by);
  void Answer(const std::string& site, bool accepted, const std::string& reason);
  void Accept(Task& task, const ReportFacts& facts);
  void Fail(Task& task, const std::string& reason, bool refused);
  void Try(std::int64_t tries);
  void Spoil(Task& task, const std::string& reason);
  void GiveUpFold(std::int64_t round, const std::string& reason);
  void Publish(const VersionPublished& event);

 private:
  bool AllRoundsDone() const;
  std::vector<std::string> AcceptedSites() const;
  void StartPhase(CampaignPhase phase, std::chrono::seconds deadline);
  void Gather();
  void OpenRound();
  void DecideRound();
  void CloseRound(Round& round);
  void Finish();
  void Evaluate(const Round& round);
  Task MakeTask(TaskKind kind, std::int64_t round, const std::string& site,
                std::int64_t attempt) const;
  void Assign(Task task);
  enum class Again { kAutomatic, kByHand, kNoFault };
  void Retry(const std::string& site, Again again);
  void Withdraw(Task& task, TaskPhase phase, const std::string& reason);
  void CloseAtSites();

  Campaign& campaign_;
  const Timestamp now_;
  std::vector<Action>& actions_;
};

}  // namespace tributary::server

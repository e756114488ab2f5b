// What the lead decides about the sites and rounds of a live campaign.
#include "server/campaign_step.h"

namespace tributary::server {

void CampaignStep::Change(const CampaignChanged& event) {
  for (const std::string& site : event.drop) Drop(site, event.by);
  if (event.deadline_seconds >= 0) {
    campaign_.file.pacing.deadline = std::chrono::seconds(event.deadline_seconds);
    const bool waits =
        campaign_.phase == CampaignPhase::kGathering || campaign_.phase == CampaignPhase::kTraining;
    if (waits) StartPhase(campaign_.phase, campaign_.file.pacing.deadline);
  }
  if (event.rounds > 0) ChangeRounds(event.rounds);
  if (event.start) campaign_.deadline_passed = true;
  if (event.rounds > 0 || event.deadline_seconds >= 0) campaign_.yaml = PrintYaml(campaign_.file);
}

// What it sent counts; what it still works on is not waited for.
void CampaignStep::Drop(const std::string& site, const std::string& by) {
  const std::string reason = "dropped by " + by;
  campaign_.answers[site] = {SiteAnswer::Kind::kDropped, "by " + by};
  for (auto& [id, task] : campaign_.tasks) {
    if (task.site == site && task.phase == TaskPhase::kOutstanding) {
      Withdraw(task, TaskPhase::kFailed, reason);
    }
  }
  actions_.push_back(CloseCampaign{site, campaign_.id});
}

void CampaignStep::ChangeRounds(std::int64_t rounds) {
  campaign_.file.pacing.rounds = rounds;
  if (campaign_.phase == CampaignPhase::kFinishing && !AllRoundsDone()) {
    StartPhase(CampaignPhase::kPlanning, std::chrono::seconds(0));
  } else if (campaign_.phase == CampaignPhase::kPlanning && AllRoundsDone()) {
    // The last version is evaluated, whatever evaluation.every says.
    if (!HasEvaluations(campaign_.rounds.back())) Evaluate(campaign_.rounds.back());
    StartPhase(CampaignPhase::kFinishing, campaign_.file.walltime + campaign_.file.pacing.deadline);
  }
}

// The round opens again for what is decided about its updates.
void CampaignStep::ReopenRound(const CampaignResumed& event) {
  Round& round = campaign_.rounds.back();
  RemoveBlobs spooled;
  for (const std::string& site : event.without) LeaveOut(site, event.by, &spooled);
  round.fold_tries = 0;
  round.fold_failed = false;
  campaign_.phase = CampaignPhase::kTraining;
  if (event.again) AskAgain(event.by, &spooled);
  if (!spooled.digests.empty()) actions_.push_back(std::move(spooled));
}

void CampaignStep::LeaveOut(const std::string& site, const std::string& by, RemoveBlobs* spooled) {
  Round& round = campaign_.rounds.back();
  round.left_out.insert(site);
  Task& task = campaign_.tasks.at(round.tasks.at(site));
  const std::string reason = "left out by " + by;
  if (task.phase == TaskPhase::kOutstanding) return Withdraw(task, TaskPhase::kFailed, reason);
  if (task.phase != TaskPhase::kAccepted) return;
  spooled->digests.push_back(task.facts.digest);
  task.phase = TaskPhase::kFailed;
  task.reason = reason;
}

// The same work under a new id, which costs the sites no attempt. What a site sent that has left
// cannot be had again: it stays.
void CampaignStep::AskAgain(const std::string& by, RemoveBlobs* spooled) {
  const Round& round = campaign_.rounds.back();
  for (const std::string& site : round.sites) {
    Task& task = campaign_.tasks.at(round.tasks.at(site));
    const bool here = campaign_.answers.at(site).kind == SiteAnswer::Kind::kAccepted;
    if (task.phase != TaskPhase::kAccepted || !here) continue;
    spooled->digests.push_back(task.facts.digest);
    task.phase = TaskPhase::kFailed;
    task.reason = "asked for again by " + by;
    Retry(site, Again::kNoFault);
  }
}

}  // namespace tributary::server

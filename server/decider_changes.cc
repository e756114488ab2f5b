// What the lead decides about the sites and rounds of a live campaign.
#include "server/decider.h"
#include "server/pacing.h"

namespace tributary::server {

void Decider::React(const CampaignChanged& event) {
  places_may_be_free_ = true;
  for (const std::string& site : event.drop) Drop(site, event.by);
  if (event.rounds > 0 || event.deadline_seconds >= 0) {
    CampaignFile file = campaign_.file;
    if (event.rounds > 0) file.pacing.rounds = event.rounds;
    if (event.deadline_seconds >= 0) {
      file.pacing.deadline = std::chrono::seconds(event.deadline_seconds);
    }
    Decide(CampaignRevised{campaign_.id, PrintYaml(file)});
  }
  const bool waits =
      campaign_.phase == CampaignPhase::kGathering || campaign_.phase == CampaignPhase::kTraining;
  if (event.deadline_seconds >= 0 && waits) {
    StartPhase(campaign_.phase, campaign_.file.pacing.deadline);
  }
  if (event.rounds > 0) FollowRounds();
  if (event.start) Decide(DeadlinePassed{campaign_.id});
}

// What it sent counts; what it still works on is not waited for.
void Decider::Drop(const std::string& site, const std::string& by) {
  for (const std::string& id : OutstandingTasks(site)) {
    Withdraw(id, TaskPhase::kFailed, "dropped by " + by);
  }
  actions_.push_back(CloseCampaign{site, campaign_.id});
}

// After their number was changed.
void Decider::FollowRounds() {
  if (campaign_.phase == CampaignPhase::kFinishing && !AllRoundsDone()) {
    StartPhase(CampaignPhase::kPlanning, std::chrono::seconds(0));
  } else if (campaign_.phase == CampaignPhase::kPlanning && AllRoundsDone()) {
    RemoveBlobs spooled;
    EndTraining(&spooled);
    if (!spooled.digests.empty()) actions_.push_back(std::move(spooled));
    // The last version is evaluated, whatever evaluation.every says, and by those that were left
    // out.
    const Round& last = campaign_.rounds.back();
    if (!HasEvaluations(last) || PacingOf(campaign_)->Carries()) Evaluate(last);
    StartPhase(CampaignPhase::kFinishing, campaign_.file.walltime + campaign_.file.pacing.deadline);
  }
}

// The round opens again for what is decided about its updates.
void Decider::ReopenRound(const CampaignResumed& event) {
  RemoveBlobs spooled;
  Decide(RoundReopened{campaign_.id, campaign_.rounds.back().number, event.without});
  for (const std::string& site : event.without) LeaveOut(site, event.by, &spooled);
  if (event.again) AskAgain(event.by, &spooled);
  if (!spooled.digests.empty()) actions_.push_back(std::move(spooled));
}

void Decider::LeaveOut(const std::string& site, const std::string& by, RemoveBlobs* spooled) {
  const Task task = campaign_.tasks.at(campaign_.rounds.back().tasks.at(site));
  const std::string reason = "left out by " + by;
  if (task.phase == TaskPhase::kOutstanding) return Withdraw(task.id, TaskPhase::kFailed, reason);
  if (task.phase != TaskPhase::kAccepted) return;
  spooled->digests.push_back(task.facts.digest);
  Decide(TaskSettled{task.id, TaskPhase::kFailed, reason});
}

// The same work under a new id, which costs the sites no attempt. What a site sent that has left
// cannot be had again: it stays.
void Decider::AskAgain(const std::string& by, RemoveBlobs* spooled) {
  const std::vector<std::string> sites = campaign_.rounds.back().sites;
  for (const std::string& site : sites) {
    const Task task = campaign_.tasks.at(campaign_.rounds.back().tasks.at(site));
    const bool here = campaign_.answers.at(site).kind == SiteAnswer::Kind::kAccepted;
    if (task.phase != TaskPhase::kAccepted || !here) continue;
    spooled->digests.push_back(task.facts.digest);
    Decide(TaskSettled{task.id, TaskPhase::kFailed, "asked for again by " + by});
    Retry(site, Again::kNoFault);
  }
}

}  // namespace tributary::server

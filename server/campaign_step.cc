#include "server/campaign_step.h"

#include <algorithm>
#include <chrono>

namespace tributary::server {
namespace {

// Updates of one round that the server's disk may lose before the campaign waits for somebody to
// look at the disk.
constexpr std::int64_t kMostDamaged = 10;

}  // namespace

void CampaignStep::Begin() {
  StartPhase(CampaignPhase::kGathering, campaign_.file.pacing.deadline);
  for (const std::string& site : campaign_.file.sites) {
    campaign_.answers[site] = SiteAnswer{};
    actions_.push_back(OfferCampaign{site, campaign_.id});
  }
}

void CampaignStep::Advance() {
  if (campaign_.ended()) return;
  if (campaign_.paused) {
    // What is trained becomes a version: a pause only opens nothing new.
    const bool open = campaign_.rules >= 1 && campaign_.phase == CampaignPhase::kTraining;
    if (open && IsWhole(campaign_.rounds.back())) CloseRound(campaign_.rounds.back());
    return;
  }
  switch (campaign_.phase) {
    case CampaignPhase::kGathering:
      return Gather();
    case CampaignPhase::kPlanning:
      return OpenRound();
    case CampaignPhase::kTraining:
      FillRound();
      return DecideRound();
    case CampaignPhase::kFinishing:
      return Finish();
    default:
      return;
  }
}

void CampaignStep::Pause(std::string note) {
  campaign_.paused = true;
  campaign_.note = std::move(note);
}

void CampaignStep::Resume(const CampaignResumed& event) {
  campaign_.paused = false;
  campaign_.note.clear();
  campaign_.versions.back().damage.clear();  // its next use tells
  if (!event.without.empty() || event.again) ReopenRound(event);
  if (campaign_.phase == CampaignPhase::kAggregating) {
    campaign_.rounds.back().fold_tries = 0;
    campaign_.rounds.back().fold_failed = false;
    actions_.push_back(AggregateRound{campaign_.id, campaign_.rounds.back().number});
  }
  if (campaign_.phase == CampaignPhase::kTraining) {
    StartPhase(CampaignPhase::kTraining, campaign_.file.pacing.deadline);
    const Round& round = campaign_.rounds.back();
    for (const std::string& site : round.sites) {  // who resumes wants another try
      if (campaign_.tasks.at(round.tasks.at(site)).phase == TaskPhase::kFailed &&
          !round.left_out.contains(site)) {
        Retry(site, Again::kByHand);
      }
    }
  }
}

void CampaignStep::Cancel(const std::string& by) {
  campaign_.phase = CampaignPhase::kCancelled;
  campaign_.paused = false;
  campaign_.note = "cancelled by " + by;
  campaign_.ended_at = now_;
  for (auto& [id, task] : campaign_.tasks) {
    if (task.phase == TaskPhase::kOutstanding) {
      Withdraw(task, TaskPhase::kCancelled, "the campaign is cancelled");
    }
  }
  if (!campaign_.rounds.empty() && !campaign_.rounds.back().closed_at) {
    RemoveBlobs spooled;
    for (const Task* task : AcceptedTasks(campaign_, campaign_.rounds.back())) {
      spooled.digests.push_back(task->facts.digest);
    }
    actions_.push_back(std::move(spooled));
  }
  CloseAtSites();
}

void CampaignStep::Answer(const std::string& site, bool accepted, const std::string& reason) {
  campaign_.answers[site] = {accepted ? SiteAnswer::Kind::kAccepted : SiteAnswer::Kind::kRefused,
                             reason};
  if (accepted) return;
  for (auto& [id, task] : campaign_.tasks) {  // a site that changed its mind
    if (task.site == site && task.phase == TaskPhase::kOutstanding) {
      Withdraw(task, TaskPhase::kFailed, "the site refuses the campaign: " + reason);
    }
  }
}

void CampaignStep::Accept(Task& task, const ReportFacts& facts) {
  actions_.push_back(AcknowledgeReport{task.site, task.id, true, "", /*counts=*/true});
  task.phase = TaskPhase::kAccepted;
  task.facts = facts;
  if (task.kind == TaskKind::kEvaluate) {
    Round& round = campaign_.rounds[static_cast<std::size_t>(task.round - 1)];
    for (const auto& [name, value] : facts.metrics) round.metrics[task.site + "/" + name] = value;
  }
}

// What was refused would be refused again: the same seed makes the same bits.
void CampaignStep::Fail(Task& task, const std::string& reason, bool refused) {
  actions_.push_back(AcknowledgeReport{task.site, task.id, true, ""});
  task.phase = TaskPhase::kFailed;
  task.reason = reason;
  if (refused || task.tries >= campaign_.file.pacing.attempts) return;
  if (task.kind == TaskKind::kEvaluate) {
    if (campaign_.rules >= 1) RetryEvaluation(task);
  } else if (!campaign_.paused) {
    Retry(task.site, Again::kAutomatic);
  }
}

void CampaignStep::Try(std::int64_t tries) { campaign_.rounds.back().fold_tries = tries; }

void CampaignStep::GiveUpFold(std::int64_t round, const std::string& reason) {
  campaign_.rounds.back().fold_tries = 0;
  campaign_.rounds.back().fold_failed = true;
  Pause("round " + std::to_string(round) + " could not be aggregated: " + reason +
        "; resume tries again");
}

// The newest version is what everybody works with: without it the campaign waits for a person.
void CampaignStep::NoteDamage(std::int64_t number, const std::string& reason) {
  campaign_.versions[static_cast<std::size_t>(number)].damage = reason;
  const bool newest = number == campaign_.versions.back().number;
  if (!newest || campaign_.ended() || campaign_.paused) return;
  Pause("version " + std::to_string(number) + ": " + reason +
        "; bring the file back and resume, or submit a campaign that starts from another version");
}

// The round opens again for the site: it is asked for the same work once more, which costs it no
// attempt. The others' updates stay.
void CampaignStep::Spoil(Task& task, const std::string& reason) {
  Round& round = campaign_.rounds.back();
  task.phase = TaskPhase::kFailed;
  task.reason = reason;
  round.fold_tries = 0;
  StartPhase(CampaignPhase::kTraining, campaign_.file.pacing.deadline);
  if (++round.damaged > kMostDamaged) {
    return Pause("round " + std::to_string(round.number) + " lost " +
                 std::to_string(round.damaged) + " updates on the server's disk: " + reason +
                 "; resume asks the sites again");
  }
  if (!campaign_.paused) Retry(task.site, Again::kNoFault);  // else when it is resumed
}

void CampaignStep::Publish(const VersionPublished& event) {
  Round& round = campaign_.rounds.back();
  RemoveBlobs spooled;
  for (const auto& [name, blob] : campaign_.versions.back().state) {
    const auto kept = event.state.find(name);
    if (kept == event.state.end() || kept->second != blob) spooled.digests.push_back(blob.digest);
  }
  campaign_.versions.push_back({static_cast<std::int64_t>(campaign_.versions.size()), event.digest,
                                event.bytes, now_, event.state, event.numbers, event.merged});
  round.closed_at = now_;
  double weight = 0;
  double sum = 0;
  for (const Task* task : AcceptedTasks(campaign_, round)) {
    const auto samples = static_cast<double>(std::max<std::int64_t>(task->facts.samples, 1));
    weight += samples;
    sum += samples * task->facts.loss_last;
    spooled.digests.push_back(task->facts.digest);
  }
  round.mean_loss = weight > 0 ? sum / weight : 0;
  actions_.push_back(std::move(spooled));
  Evaluate(round);
  if (!AllRoundsDone()) return StartPhase(CampaignPhase::kPlanning, std::chrono::seconds(0));
  StartPhase(CampaignPhase::kFinishing, campaign_.file.walltime + campaign_.file.pacing.deadline);
}

bool CampaignStep::AllRoundsDone() const {
  return static_cast<std::int64_t>(campaign_.rounds.size()) >= campaign_.file.pacing.rounds;
}

std::vector<std::string> CampaignStep::AcceptedSites() const {
  std::vector<std::string> sites;
  for (const auto& [site, answer] : campaign_.answers) {
    if (answer.kind == SiteAnswer::Kind::kAccepted) sites.push_back(site);
  }
  return sites;
}

void CampaignStep::StartPhase(CampaignPhase phase, std::chrono::seconds deadline) {
  campaign_.phase = phase;
  campaign_.deadline.reset();
  campaign_.deadline_passed = false;
  if (deadline.count() > 0) campaign_.deadline = now_ + deadline;
}

// Ends when the last evaluations are in; one that does not come holds nobody up for longer than the
// phase's deadline.
void CampaignStep::Finish() {
  for (auto& [id, task] : campaign_.tasks) {
    if (task.phase != TaskPhase::kOutstanding) continue;
    if (!campaign_.deadline_passed) return;
    Withdraw(task, TaskPhase::kMissed, "the campaign completed without this evaluation");
  }
  campaign_.phase = CampaignPhase::kCompleted;
  campaign_.note.clear();
  campaign_.ended_at = now_;
  CloseAtSites();
}

void CampaignStep::CloseAtSites() {
  for (const std::string& site : AcceptedSites()) {
    actions_.push_back(CloseCampaign{site, campaign_.id});
  }
}

}  // namespace tributary::server

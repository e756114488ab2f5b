#include "server/decider.h"

#include <algorithm>
#include <chrono>

#include "server/apply.h"

namespace tributary::server {
namespace {

// Updates of one round that the server's disk may lose before the campaign waits for somebody to
// look at the disk.
constexpr std::int64_t kMostDamaged = 10;

}  // namespace

void Decider::Decide(Event decision) {
  decisions_.push_back(std::move(decision));
  const auto nth = static_cast<std::int64_t>(decisions_.size());
  Apply(&state_, decisions_.back(), now_, entry_ == 0 ? 0 : entry_ + nth);
}

void Decider::Note(std::string note) {
  if (note != campaign_.note) Decide(CampaignNoted{campaign_.id, std::move(note)});
}

void Decider::StartPhase(CampaignPhase phase, std::chrono::seconds deadline) {
  PhaseStarted started{campaign_.id, phase};
  if (deadline.count() > 0) started.deadline = now_ + deadline;
  Decide(std::move(started));
}

void Decider::React(const CampaignSubmitted&) {
  StartPhase(CampaignPhase::kGathering, campaign_.file.pacing.deadline);
  for (const std::string& site : campaign_.file.sites) {
    actions_.push_back(OfferCampaign{site, campaign_.id});
  }
}

void Decider::Advance() {
  if (campaign_.ended()) return;
  if (campaign_.paused) {
    // What is trained becomes a version: a pause only opens nothing new.
    const bool open = campaign_.rules >= 1 && campaign_.phase == CampaignPhase::kTraining;
    if (open && IsWhole(campaign_.rounds.back())) CloseRound();
    return;
  }
  switch (campaign_.phase) {
    case CampaignPhase::kGathering:
      return Gather();
    case CampaignPhase::kPlanning:
      return OpenRound();
    case CampaignPhase::kTraining:
      if (places_may_be_free_) FillRound();
      return DecideRound();
    case CampaignPhase::kFinishing:
      return Finish();
    default:
      return;
  }
}

void Decider::React(const CampaignResumed& event) {
  places_may_be_free_ = true;
  if (!event.without.empty() || event.again) ReopenRound(event);
  if (campaign_.phase == CampaignPhase::kAggregating) {
    const std::int64_t round = campaign_.rounds.back().number;
    Decide(FoldRequested{campaign_.id, round});
    actions_.push_back(AggregateRound{campaign_.id, round});
  }
  if (campaign_.phase != CampaignPhase::kTraining) return;
  StartPhase(CampaignPhase::kTraining, campaign_.file.pacing.deadline);
  const std::vector<std::string> sites = campaign_.rounds.back().sites;
  for (const std::string& site : sites) {  // who resumes wants another try
    const Round& round = campaign_.rounds.back();
    if (campaign_.tasks.at(round.tasks.at(site)).phase == TaskPhase::kFailed &&
        !round.left_out.contains(site)) {
      Retry(site, Again::kByHand);
    }
  }
}

void Decider::React(const CampaignCancelled&) {
  for (const std::string& id : OutstandingTasks()) {
    Withdraw(id, TaskPhase::kCancelled, "the campaign is cancelled");
  }
  if (const auto unfolded = UnfoldedUpdates(campaign_); !unfolded.empty()) {
    RemoveBlobs spooled;
    for (const Task* task : unfolded) spooled.digests.push_back(task->facts.digest);
    actions_.push_back(std::move(spooled));
  }
  CloseAtSites();
}

// A site that changed its mind.
void Decider::React(const CampaignAnswered& event) {
  places_may_be_free_ = true;
  if (event.accepted) return;
  for (const std::string& id : OutstandingTasks(event.site)) {
    Withdraw(id, TaskPhase::kFailed, "the site refuses the campaign: " + event.reason);
  }
}

void Decider::React(const UpdateAccepted& event) {
  const Task& task = campaign_.tasks.at(event.task);
  actions_.push_back(AcknowledgeReport{task.site, task.id, true, "", /*counts=*/true});
}

// What was refused would be refused again: the same seed makes the same bits.
void Decider::React(const TaskFailed& event) {
  const Task task = campaign_.tasks.at(event.task);
  actions_.push_back(AcknowledgeReport{task.site, task.id, true, ""});
  if (event.refused || task.tries >= campaign_.file.pacing.attempts) return;
  if (task.kind == TaskKind::kEvaluate) {
    if (campaign_.rules >= 1) RetryEvaluation(task);
  } else if (!campaign_.paused) {
    Retry(task.site, Again::kAutomatic);
  }
}

void Decider::React(const AggregationFailed& event) {
  Hold("round " + std::to_string(event.round) + " could not be aggregated: " + event.reason +
       "; resume tries again");
}

// The newest version is what everybody works with: without it the campaign waits for a person.
void Decider::React(const VersionDamaged& event) {
  const bool newest = event.version == campaign_.versions.back().number;
  if (!newest || campaign_.ended() || campaign_.paused) return;
  Hold("version " + std::to_string(event.version) + ": " + event.reason +
       "; bring the file back and resume, or submit a campaign that starts from another version");
}

// The round opens again for the site: it is asked for the same work once more, which costs it no
// attempt. The others' updates stay.
void Decider::React(const UpdateDamaged& event) {
  places_may_be_free_ = true;
  const std::string site = campaign_.tasks.at(event.task).site;
  StartPhase(CampaignPhase::kTraining, campaign_.file.pacing.deadline);
  const Round& round = campaign_.rounds.back();
  if (round.damaged > kMostDamaged) {
    return Hold("round " + std::to_string(round.number) + " lost " + std::to_string(round.damaged) +
                " updates on the server's disk: " + event.reason + "; resume asks the sites again");
  }
  if (!campaign_.paused) Retry(site, Again::kNoFault);  // else when it is resumed
}

void Decider::React(const VersionPublished& event) {
  RemoveBlobs spooled;
  const Version& before = campaign_.versions[campaign_.versions.size() - 2];
  for (const auto& [name, blob] : before.state) {
    const auto kept = event.state.find(name);
    if (kept == event.state.end() || kept->second != blob) spooled.digests.push_back(blob.digest);
  }
  const Round& round = campaign_.rounds.back();
  double weight = 0;
  double sum = 0;
  for (const Task* task : CountedTasks(campaign_, round)) {
    const auto samples = static_cast<double>(std::max<std::int64_t>(task->facts.samples, 1));
    weight += samples;
    sum += samples * task->facts.loss_last;
    spooled.digests.push_back(task->facts.digest);
  }
  Decide(RoundFinished{campaign_.id, round.number, weight > 0 ? sum / weight : 0});
  if (AllRoundsDone()) EndTraining(&spooled);
  actions_.push_back(std::move(spooled));
  Evaluate(round);
  if (!AllRoundsDone()) return StartPhase(CampaignPhase::kPlanning, std::chrono::seconds(0));
  StartPhase(CampaignPhase::kFinishing, campaign_.file.walltime + campaign_.file.pacing.deadline);
}

// What was still trained, or came while the last version was made, is part of none.
void Decider::EndTraining(RemoveBlobs* spooled) {
  const std::string reason = "the last round closed without it";
  for (const Task* task : UnfoldedUpdates(campaign_)) {
    spooled->digests.push_back(task->facts.digest);
    Decide(TaskSettled{task->id, TaskPhase::kMissed, reason});
  }
  for (const std::string& id : OutstandingTasks()) {
    if (campaign_.tasks.at(id).kind == TaskKind::kTrain) Withdraw(id, TaskPhase::kMissed, reason);
  }
}

bool Decider::AllRoundsDone() const {
  return static_cast<std::int64_t>(campaign_.rounds.size()) >= campaign_.file.pacing.rounds;
}

std::vector<std::string> Decider::AcceptedSites() const {
  std::vector<std::string> sites;
  for (const auto& [site, answer] : campaign_.answers) {
    if (answer.kind == SiteAnswer::Kind::kAccepted) sites.push_back(site);
  }
  return sites;
}

// Ends when the last evaluations are in; one that does not come holds nobody up for longer than the
// phase's deadline.
void Decider::Finish() {
  const std::vector<std::string> open = OutstandingTasks();
  if (!open.empty() && !campaign_.deadline_passed) return;
  for (const std::string& id : open) {
    Withdraw(id, TaskPhase::kMissed, "the campaign completed without this evaluation");
  }
  StartPhase(CampaignPhase::kCompleted, std::chrono::seconds(0));
  CloseAtSites();
}

void Decider::CloseAtSites() {
  for (const std::string& site : AcceptedSites()) {
    actions_.push_back(CloseCampaign{site, campaign_.id});
  }
}

}  // namespace tributary::server

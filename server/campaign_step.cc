#include "server/campaign_step.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>

#include "server/pacing.h"

namespace tributary::server {
namespace {

// Updates of one round that the server's disk may lose before the campaign waits for somebody to
// look at the disk.
constexpr std::int64_t kMostDamaged = 10;

// 64 bits keyed by what they are for; the same on every platform.
std::uint64_t SeedFor(std::int64_t campaign_seed, std::int64_t round, std::string_view site) {
  const Digest digest = Sha256Of(std::to_string(campaign_seed) + "/" + std::to_string(round) + "/" +
                                 std::string(site));
  std::uint64_t seed = 0;
  std::memcpy(&seed, digest.bytes.data(), sizeof seed);
  return seed >> 1;  // fits a signed integer everywhere
}

std::string TaskId(const Campaign& campaign, TaskKind kind, std::int64_t round,
                   std::string_view site, std::int64_t attempt) {
  return campaign.id + ".r" + std::to_string(round) + "." + std::string(site) +
         (kind == TaskKind::kTrain ? ".t" : ".e") + std::to_string(attempt);
}

// How long a site waits before it does work again that failed: trouble that passes must not use up
// all attempts in a moment.
std::chrono::seconds DelayBefore(std::int64_t attempt) {
  constexpr std::array<int, 4> kSeconds = {2, 10, 50, 250};
  const auto index = static_cast<std::size_t>(std::max<std::int64_t>(attempt, 2) - 2);
  return std::chrono::seconds(kSeconds[std::min(index, kSeconds.size() - 1)]);
}

std::unique_ptr<Pacing> PacingOf(const Campaign& campaign) {
  return *MakePacing(campaign.file);  // the kind was checked at submission
}

}  // namespace

void CampaignStep::Begin() {
  StartPhase(CampaignPhase::kGathering, campaign_.file.pacing.deadline);
  for (const std::string& site : campaign_.file.sites) {
    campaign_.answers[site] = SiteAnswer{};
    actions_.push_back(OfferCampaign{site, campaign_.id});
  }
}

void CampaignStep::Advance() {
  if (campaign_.paused || campaign_.ended()) return;
  switch (campaign_.phase) {
    case CampaignPhase::kGathering:
      return Gather();
    case CampaignPhase::kPlanning:
      return OpenRound();
    case CampaignPhase::kTraining:
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

void CampaignStep::Resume() {
  campaign_.paused = false;
  campaign_.note.clear();
  if (campaign_.phase == CampaignPhase::kAggregating) {
    campaign_.rounds.back().fold_tries = 0;
    actions_.push_back(AggregateRound{campaign_.id, campaign_.rounds.back().number});
  }
  if (campaign_.phase == CampaignPhase::kTraining) {
    StartPhase(CampaignPhase::kTraining, campaign_.file.pacing.deadline);
    const Round& round = campaign_.rounds.back();
    for (const std::string& site : round.sites) {  // who resumes wants another try
      if (campaign_.tasks.at(round.tasks.at(site)).phase == TaskPhase::kFailed) {
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
  if (task.kind == TaskKind::kTrain && task.tries < campaign_.file.pacing.attempts && !refused &&
      !campaign_.paused) {
    Retry(task.site, Again::kAutomatic);
  }
}

void CampaignStep::Try(std::int64_t tries) { campaign_.rounds.back().fold_tries = tries; }

void CampaignStep::GiveUpFold(std::int64_t round, const std::string& reason) {
  campaign_.rounds.back().fold_tries = 0;
  Pause("round " + std::to_string(round) + " could not be aggregated: " + reason +
        "; resume tries again");
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

// The first round opens when every named site has answered, or the deadline passed, and enough
// accepted.
void CampaignStep::Gather() {
  std::string waiting;
  std::string refused;
  for (const auto& [site, answer] : campaign_.answers) {
    if (answer.kind == SiteAnswer::Kind::kWaiting) waiting += " " + site;
    if (answer.kind == SiteAnswer::Kind::kRefused) {
      refused += "; " + site + " refused: " + answer.reason;
    }
  }
  const auto named = static_cast<std::int64_t>(campaign_.answers.size());
  const std::int64_t needed = PacingOf(campaign_)->SitesNeeded(named);
  const auto accepted = static_cast<std::int64_t>(AcceptedSites().size());
  if (accepted >= needed && (waiting.empty() || campaign_.deadline_passed)) return OpenRound();
  campaign_.note = !waiting.empty()
                       ? "waiting for the answer of" + waiting + refused
                       : std::to_string(accepted) + " sites accepted; the campaign needs " +
                             std::to_string(needed) + refused;
}

void CampaignStep::OpenRound() {
  Round round;
  round.number = static_cast<std::int64_t>(campaign_.rounds.size()) + 1;
  round.opened_at = now_;
  const RoundPlan plan =
      PacingOf(campaign_)->Plan({.round = round.number,
                                 .eligible = AcceptedSites(),
                                 .seed = SeedFor(campaign_.file.seed, round.number, "plan")});
  if (plan.sites.empty()) {  // sites have withdrawn since the last round
    return Pause("too few sites take part in round " + std::to_string(round.number) +
                 "; resume when more accept the campaign again");
  }
  StartPhase(CampaignPhase::kTraining, plan.deadline);
  campaign_.note.clear();
  for (const SitePlan& site : plan.sites) round.sites.push_back(site.site);
  campaign_.rounds.push_back(std::move(round));
  for (const SitePlan& site : plan.sites) {
    Task task = MakeTask(TaskKind::kTrain, campaign_.rounds.back().number, site.site, 1);
    task.steps = site.steps;
    task.learning_rate_scale = site.learning_rate_scale;
    campaign_.rounds.back().tasks[site.site] = task.id;
    Assign(std::move(task));
  }
}

void CampaignStep::DecideRound() {
  Round& round = campaign_.rounds.back();
  RoundView view;
  view.selected = static_cast<std::int64_t>(round.sites.size());
  view.deadline_passed = campaign_.deadline_passed;
  std::string failures;
  for (const auto& [site, id] : round.tasks) {
    const Task& task = campaign_.tasks.at(id);
    view.accepted += task.phase == TaskPhase::kAccepted ? 1 : 0;
    // Missed: in a round that was closed before, and opened again for an update that was lost.
    const bool missed = task.phase == TaskPhase::kMissed;
    view.failed += task.phase == TaskPhase::kFailed || missed ? 1 : 0;
    if (task.phase == TaskPhase::kFailed) failures += "; " + site + ": " + task.reason;
  }
  switch (PacingOf(campaign_)->Decide(view)) {
    case Decision::kWait:
      return;
    case Decision::kImpossible:
      return Pause("round " + std::to_string(round.number) + " has " +
                   std::to_string(view.accepted) + " of " + std::to_string(view.selected) +
                   " updates and misses its quorum; resume tries the failed sites again" +
                   failures);
    case Decision::kClose:
      return CloseRound(round);
  }
}

void CampaignStep::CloseRound(Round& round) {
  for (const auto& [site, id] : round.tasks) {
    Task& task = campaign_.tasks.at(id);
    if (task.phase == TaskPhase::kOutstanding) {
      Withdraw(task, TaskPhase::kMissed,
               "round " + std::to_string(round.number) + " closed at its deadline");
    }
  }
  StartPhase(CampaignPhase::kAggregating, std::chrono::seconds(0));
  actions_.push_back(AggregateRound{campaign_.id, round.number});
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

void CampaignStep::Evaluate(const Round& round) {
  const std::int64_t every = campaign_.file.evaluation.every;
  if (campaign_.file.data.evaluate.empty() || every == 0) return;
  if (!AllRoundsDone() && round.number % every != 0) return;
  for (const std::string& site : AcceptedSites()) {
    Assign(MakeTask(TaskKind::kEvaluate, round.number, site, 1));
  }
}

Task CampaignStep::MakeTask(TaskKind kind, std::int64_t round, const std::string& site,
                            std::int64_t attempt) const {
  Task task;
  task.id = TaskId(campaign_, kind, round, site, attempt);
  task.campaign = campaign_.id;
  task.site = site;
  task.kind = kind;
  task.round = round;
  task.attempt = attempt;
  task.base_version = campaign_.versions.back().number;
  task.seed = SeedFor(campaign_.file.seed, round, site);
  return task;
}

void CampaignStep::Assign(Task task) {
  actions_.push_back(AssignTask{task.site, task.id});
  campaign_.tasks[task.id] = std::move(task);
}

// The same work under a new id: same version, same seed, hence the same bits.
void CampaignStep::Retry(const std::string& site, Again again) {
  if (campaign_.answers.at(site).kind != SiteAnswer::Kind::kAccepted) return;
  Round& round = campaign_.rounds.back();
  const Task& failed = campaign_.tasks.at(round.tasks.at(site));
  Task task = MakeTask(TaskKind::kTrain, round.number, site, failed.attempt + 1);
  task.steps = failed.steps;
  task.learning_rate_scale = failed.learning_rate_scale;
  task.tries = failed.tries + (again == Again::kNoFault ? 0 : 1);
  if (again == Again::kAutomatic) task.delay = DelayBefore(task.tries);
  round.tasks[site] = task.id;
  Assign(std::move(task));
}

void CampaignStep::Withdraw(Task& task, TaskPhase phase, const std::string& reason) {
  task.phase = phase;
  task.reason = reason;
  actions_.push_back(CancelTask{task.site, task.id, reason});
}

void CampaignStep::CloseAtSites() {
  for (const std::string& site : AcceptedSites()) {
    actions_.push_back(CloseCampaign{site, campaign_.id});
  }
}

}  // namespace tributary::server

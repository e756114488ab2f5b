// The tasks of a campaign: what each is, and how it is given again.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>

#include "server/decider.h"
#include "server/pacing.h"

namespace tributary::server {
namespace {

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

}  // namespace

std::uint64_t SeedFor(std::int64_t campaign_seed, std::int64_t round, std::string_view site) {
  const Digest digest = Sha256Of(std::to_string(campaign_seed) + "/" + std::to_string(round) + "/" +
                                 std::string(site));
  std::uint64_t seed = 0;
  std::memcpy(&seed, digest.bytes.data(), sizeof seed);
  return seed >> 1;  // fits a signed integer everywhere
}

void Decider::Evaluate(const Round& round) {
  const std::int64_t every = campaign_.file.evaluation.every;
  if (campaign_.file.data.evaluate.empty() || every == 0) return;
  if (!AllRoundsDone() && round.number % every != 0) return;
  std::vector<Task> tasks;
  // Where versions follow each other faster than a site evaluates them, it leaves some out.
  const bool may_skip = !AllRoundsDone() && PacingOf(campaign_)->Carries();
  for (const std::string& site : AcceptedSites()) {
    const std::string id = TaskId(campaign_, TaskKind::kEvaluate, round.number, site, 1);
    if ((may_skip && Evaluates(site)) || campaign_.tasks.contains(id)) continue;
    tasks.push_back(MakeTask(TaskKind::kEvaluate, round.number, site, 1));
  }
  Give(std::move(tasks));
}

Task Decider::MakeTask(TaskKind kind, std::int64_t round, const std::string& site,
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

void Decider::Give(std::vector<Task> tasks) {
  if (tasks.empty()) return;
  for (const Task& task : tasks) actions_.push_back(AssignTask{task.site, task.id});
  Decide(TasksGiven{campaign_.id, std::move(tasks)});
}

// The same work under a new id: same version, same seed, hence the same bits. What was carried from
// an earlier round is work of this one from now on, from the newest version.
void Decider::Retry(const std::string& site, Again again) {
  if (campaign_.answers.at(site).kind != SiteAnswer::Kind::kAccepted) return;
  const Round& round = campaign_.rounds.back();
  const Task& failed = campaign_.tasks.at(round.tasks.at(site));
  Task task = MakeTask(TaskKind::kTrain, round.number, site, failed.attempt + 1);
  task.steps = failed.steps;
  task.learning_rate_scale = failed.learning_rate_scale;
  task.tries = failed.tries + (again == Again::kNoFault ? 0 : 1);
  if (again == Again::kAutomatic) task.delay = DelayBefore(task.tries);
  Give({std::move(task)});
}

// Of the version that it was given, also when there is a newer one by now.
void Decider::RetryEvaluation(const Task& failed) {
  if (campaign_.answers.at(failed.site).kind != SiteAnswer::Kind::kAccepted) return;
  Task task = MakeTask(TaskKind::kEvaluate, failed.round, failed.site, failed.attempt + 1);
  task.base_version = failed.base_version;
  task.tries = failed.tries + 1;
  task.delay = DelayBefore(task.tries);
  Give({std::move(task)});
  if (campaign_.phase == CampaignPhase::kFinishing) {
    StartPhase(campaign_.phase, campaign_.file.walltime + campaign_.file.pacing.deadline);
  }
}

bool Decider::Evaluates(const std::string& site) const {
  const auto open = campaign_.outstanding.find(site);
  if (open == campaign_.outstanding.end()) return false;
  return std::any_of(open->second.begin(), open->second.end(), [&](const std::string& id) {
    return campaign_.tasks.at(id).kind == TaskKind::kEvaluate;
  });
}

bool Decider::HasEvaluations(const Round& round) const {
  return std::any_of(campaign_.tasks.begin(), campaign_.tasks.end(), [&](const auto& entry) {
    return entry.second.kind == TaskKind::kEvaluate && entry.second.round == round.number;
  });
}

void Decider::Withdraw(const std::string& id, TaskPhase phase, const std::string& reason) {
  actions_.push_back(CancelTask{campaign_.tasks.at(id).site, id, reason});
  Decide(TaskSettled{id, phase, reason});
}

// Of one site, or of all.
std::vector<std::string> Decider::OutstandingTasks(std::string_view site) const {
  std::vector<std::string> ids;
  for (const auto& [name, open] : campaign_.outstanding) {
    if (site.empty() || name == site) ids.insert(ids.end(), open.begin(), open.end());
  }
  std::sort(ids.begin(), ids.end());
  return ids;
}

}  // namespace tributary::server

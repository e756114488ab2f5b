// The rounds of a campaign: when one opens, and when it closes.
#include <algorithm>
#include <memory>

#include "core/count_text.h"
#include "core/late_round.h"
#include "server/decider.h"
#include "server/pacing.h"
#include "server/strategy.h"

namespace tributary::server {
std::vector<std::string> SubstitutesFor(const Campaign& campaign,
                                        const std::set<std::string>& dropped) {
  const std::int64_t wanted = campaign.file.pacing.sites_per_round;
  if (campaign.rules < 3 || wanted == 0 || campaign.rounds.empty()) return {};
  const Round& round = campaign.rounds.back();
  const auto is_gone = [&](const std::string& site) {
    return dropped.contains(site) || campaign.answers.at(site).kind == SiteAnswer::Kind::kDropped;
  };
  std::int64_t left = 0;
  std::int64_t taken = 0;
  for (const auto& [site, id] : round.tasks) {
    const bool sent = campaign.tasks.at(id).phase == TaskPhase::kAccepted;
    (sent || !is_gone(site) ? taken : left) += 1;
  }
  if (left == 0) return {};
  std::vector<std::pair<std::uint64_t, std::string>> others;
  for (const auto& [site, answer] : campaign.answers) {
    if (answer.kind != SiteAnswer::Kind::kAccepted || is_gone(site)) continue;
    if (round.tasks.contains(site)) continue;
    others.emplace_back(SeedFor(campaign.file.seed, round.number, "substitute/" + site), site);
  }
  std::sort(others.begin(), others.end());
  std::vector<std::string> sites;
  for (const auto& [key, site] : others) {
    if (taken++ < wanted) sites.push_back(site);
  }
  return sites;
}

// The first round opens when every named site has answered, or the deadline passed, and enough
// accepted.
void Decider::Gather() {
  std::string waiting;
  std::string refused;
  std::int64_t named = 0;
  for (const auto& [site, answer] : campaign_.answers) {
    named += answer.kind == SiteAnswer::Kind::kDropped ? 0 : 1;
    if (answer.kind == SiteAnswer::Kind::kWaiting) waiting += " " + site;
    if (answer.kind == SiteAnswer::Kind::kRefused) {
      refused += "; " + site + " refused: " + answer.reason;
    }
  }
  const std::int64_t needed = PacingOf(campaign_)->SitesNeeded(named);
  const auto accepted = static_cast<std::int64_t>(AcceptedSites().size());
  if (accepted >= needed && (waiting.empty() || campaign_.deadline_passed)) return OpenRound();
  Note(!waiting.empty() ? "waiting for the answer of" + waiting + refused
                        : CountText(accepted, "site") + " accepted; the campaign needs " +
                              std::to_string(needed) + refused);
}

// What the last round closed without: it is still out, or came while the version was made.
std::vector<Task> Decider::CarriedTasks() const {
  std::vector<Task> carried;
  if (campaign_.rounds.empty()) return carried;
  const std::vector<const Task*> unfolded = UnfoldedUpdates(campaign_);
  for (const auto& [site, id] : campaign_.rounds.back().tasks) {
    const Task& task = campaign_.tasks.at(id);
    const bool waits = std::find(unfolded.begin(), unfolded.end(), &task) != unfolded.end();
    if (waits || task.phase == TaskPhase::kOutstanding) carried.push_back(task);
  }
  return carried;
}

void Decider::OpenRound() {
  const auto number = static_cast<std::int64_t>(campaign_.rounds.size()) + 1;
  const std::unique_ptr<Pacing> pacing = PacingOf(campaign_);
  RoundOpened opened{campaign_.id, number};
  if (pacing->Carries()) opened.carried = CarriedTasks();
  PlanInput input{.round = number,
                  .eligible = AcceptedSites(),
                  .seed = SeedFor(campaign_.file.seed, number, "plan"),
                  .least = UpdatesNeeded(campaign_),
                  .carried = static_cast<std::int64_t>(opened.carried.size())};
  for (const Task& task : opened.carried) {
    std::erase(input.eligible, task.site);
    input.late += number - task.round >= kLateAfterRounds ? 1 : 0;
  }
  const RoundPlan plan = pacing->Plan(input);
  if (!plan.enough) {  // sites have withdrawn since the last round
    return Hold("too few sites take part in round " + std::to_string(number) +
                "; resume when more accept the campaign again");
  }
  StartPhase(CampaignPhase::kTraining, plan.deadline);
  for (const SitePlan& site : plan.sites) {
    Task& task = opened.tasks.emplace_back(MakeTask(TaskKind::kTrain, number, site.site, 1));
    task.steps = site.steps;
    task.learning_rate_scale = site.learning_rate_scale;
    actions_.push_back(AssignTask{task.site, task.id});
  }
  const bool may_be_full = !opened.carried.empty();
  Decide(std::move(opened));
  if (may_be_full) DecideRound();
}

// They get what the others got: the round's version, as many steps.
void Decider::FillRound() {
  std::vector<Task> tasks;
  for (const std::string& site : SubstitutesFor(campaign_)) {
    const Round& round = campaign_.rounds.back();
    const Task& other = campaign_.tasks.at(round.tasks.begin()->second);
    Task& task = tasks.emplace_back(MakeTask(TaskKind::kTrain, round.number, site, 1));
    task.steps = other.steps;
    task.learning_rate_scale = other.learning_rate_scale;
  }
  Give(std::move(tasks));
}

void Decider::DecideRound() {
  const Round& round = campaign_.rounds.back();
  const std::unique_ptr<Pacing> pacing = PacingOf(campaign_);
  if (!pacing->Carries() && round.waiting > 0 && !campaign_.deadline_passed) return;
  RoundView view;
  view.deadline_passed = campaign_.deadline_passed;
  view.least = UpdatesNeeded(campaign_);
  std::string failures;
  for (const auto& [site, id] : round.tasks) {
    const Task& task = campaign_.tasks.at(id);
    if (!IsCounted(round, task)) continue;
    ++view.selected;
    view.accepted += task.phase == TaskPhase::kAccepted ? 1 : 0;
    // Missed: in a round that was closed before, and opened again for an update that was lost.
    const bool missed = task.phase == TaskPhase::kMissed;
    view.failed += task.phase == TaskPhase::kFailed || missed ? 1 : 0;
    if (task.phase == TaskPhase::kFailed) failures += "; " + site + ": " + task.reason;
  }
  switch (pacing->Decide(view)) {
    case Decision::kWait:
      if (pacing->Carries() && campaign_.deadline_passed) {
        Note("round " + std::to_string(round.number) +
             " has no update at its deadline; it waits for" + WaitedFor(round));
      }
      return;
    case Decision::kImpossible:
      return Hold("round " + std::to_string(round.number) + " has " +
                  std::to_string(view.accepted) + " of " + std::to_string(view.selected) +
                  " updates and misses its quorum; resume tries the failed sites again" + failures);
    case Decision::kClose:
      return CloseRound();
  }
}

std::string Decider::WaitedFor(const Round& round) const {
  std::string names;
  for (const auto& [site, id] : round.tasks) {
    if (campaign_.tasks.at(id).phase == TaskPhase::kOutstanding) names += " " + site;
  }
  return names;
}

// Neither left out nor of a site that was dropped before it sent anything.
bool Decider::IsCounted(const Round& round, const Task& task) const {
  if (round.left_out.contains(task.site)) return false;
  return task.phase == TaskPhase::kAccepted ||
         campaign_.answers.at(task.site).kind != SiteAnswer::Kind::kDropped;
}

// Every update is there that the round waits for.
bool Decider::IsWhole(const Round& round) const {
  if (round.waiting > 0) return false;
  std::int64_t accepted = 0;
  for (const auto& [site, id] : round.tasks) {
    const Task& task = campaign_.tasks.at(id);
    if (!IsCounted(round, task)) continue;
    if (task.phase != TaskPhase::kAccepted) return false;
    ++accepted;
  }
  return accepted >= UpdatesNeeded(campaign_);
}

void Decider::CloseRound() {
  const Round round = campaign_.rounds.back();
  const bool carries = PacingOf(campaign_)->Carries();
  RoundClosed closed{campaign_.id, round.number};
  for (const auto& [site, id] : round.tasks) {
    const TaskPhase phase = campaign_.tasks.at(id).phase;
    if (phase == TaskPhase::kOutstanding && !carries) {
      Withdraw(id, TaskPhase::kMissed,
               "round " + std::to_string(round.number) + " closed at its deadline");
    }
    if (phase == TaskPhase::kAccepted) closed.counted.push_back(id);
  }
  Decide(std::move(closed));
  StartPhase(CampaignPhase::kAggregating, std::chrono::seconds(0));
  actions_.push_back(AggregateRound{campaign_.id, round.number});
}

}  // namespace tributary::server

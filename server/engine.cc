#include "server/engine.h"

#include "server/apply.h"
#include "server/decider.h"

namespace tributary::server {
namespace {

template <class... Ts>
struct Overload : Ts... {
  using Ts::operator()...;
};
template <class... Ts>
Overload(Ts...) -> Overload<Ts...>;

// Folds that ended the server, one after the other, before the round is given up.
constexpr std::int64_t kMostFoldTries = 3;

}  // namespace

std::string CampaignOf(const Event& event) {
  const auto of_task = [](const std::string& id) { return id.substr(0, id.find('.')); };
  return std::visit(Overload{[](const SiteEnrolled&) { return std::string(); },
                             [&](const UpdateAccepted& e) { return of_task(e.task); },
                             [&](const TaskFailed& e) { return of_task(e.task); },
                             [&](const UpdateDamaged& e) { return of_task(e.task); },
                             [&](const TaskSettled& e) { return of_task(e.task); },
                             [&](const auto& e) { return e.campaign; }},
                    event);
}

bool IsDecision(const Event& event) {
  constexpr std::size_t kFirstDecision = 16;
  static_assert(std::is_same_v<std::variant_alternative_t<kFirstDecision, Event>, PhaseStarted>);
  return event.index() >= kFirstDecision;
}

StepResult Step(State state, const Event& event, Timestamp now, std::int64_t entry) {
  StepResult result{std::move(state), {}, {}};
  Apply(&result.state, event, now, entry);
  const std::string id = CampaignOf(event);
  if (id.empty() || !result.state.campaigns.contains(id)) return result;
  Decider decider(&result.state, id, now, entry, &result.decisions, &result.actions);
  std::visit([&](const auto& e) { decider.React(e); }, event);
  decider.Advance();
  return result;
}

std::vector<Action> Outstanding(const State& state, std::string_view site) {
  std::vector<Action> actions;
  const std::string name(site);
  for (const auto& [id, campaign] : state.campaigns) {
    const auto answer = campaign.answers.find(name);
    if (answer == campaign.answers.end()) continue;
    if (campaign.ended()) {
      if (answer->second.kind == SiteAnswer::Kind::kAccepted) {
        actions.push_back(CloseCampaign{name, id});
      }
      continue;
    }
    if (answer->second.kind == SiteAnswer::Kind::kDropped) {
      actions.push_back(CloseCampaign{name, id});
      continue;
    }
    // Offered again also to a site that refused: its administrator may have changed the policy.
    actions.push_back(OfferCampaign{name, id});
    const auto open = campaign.outstanding.find(name);
    if (open == campaign.outstanding.end()) continue;
    for (const std::string& task : open->second) actions.push_back(AssignTask{name, task});
  }
  return actions;
}

std::vector<Action> Reminders(const State& state, std::string_view site,
                              const std::set<std::string>& heard_of) {
  std::vector<Action> actions;
  const std::string name(site);
  for (const auto& [id, campaign] : state.campaigns) {
    const auto answer = campaign.answers.find(name);
    if (answer == campaign.answers.end() || campaign.ended()) continue;
    if (answer->second.kind == SiteAnswer::Kind::kWaiting) {
      actions.push_back(OfferCampaign{name, id});
    }
    const auto open = campaign.outstanding.find(name);
    if (open == campaign.outstanding.end()) continue;
    for (const std::string& task : open->second) {
      if (!heard_of.contains(task)) actions.push_back(AssignTask{name, task});
    }
  }
  return actions;
}

std::vector<Action> Recover(const State& state) {
  std::vector<Action> actions;
  for (const auto& [id, campaign] : state.campaigns) {
    if (campaign.phase != CampaignPhase::kAggregating) continue;
    const Round& round = campaign.rounds.back();
    if (round.fold_failed) continue;  // it waits for somebody
    if (round.fold_tries < kMostFoldTries) {
      actions.push_back(AggregateRound{id, round.number});
    } else {
      actions.push_back(GiveUpRound{id, round.number,
                                    "the server ended " + std::to_string(round.fold_tries) +
                                        " times while it was folded; memory may not be enough"});
    }
  }
  return actions;
}

std::map<std::string, Timestamp> Deadlines(const State& state) {
  std::map<std::string, Timestamp> deadlines;
  for (const auto& [id, campaign] : state.campaigns) {
    const bool runs = campaign.deadline && !campaign.deadline_passed && !campaign.paused;
    if (runs && !campaign.ended()) deadlines[id] = *campaign.deadline;
  }
  return deadlines;
}

std::optional<AcknowledgeReport> VerdictOf(const State& state, std::string_view site,
                                           std::string_view task) {
  return VerdictOn(state.FindTask(task), site, task);
}

std::optional<AcknowledgeReport> VerdictOn(const Task* task, std::string_view site,
                                           std::string_view id) {
  AcknowledgeReport verdict{std::string(site), std::string(id), false, "", false};
  if (task == nullptr || task->site != site) {
    verdict.reason = "the server does not know this task";
    return verdict;
  }
  if (task->phase == TaskPhase::kOutstanding) return std::nullopt;
  verdict.accepted = task->phase == TaskPhase::kAccepted || task->phase == TaskPhase::kFailed;
  if (!verdict.accepted) verdict.reason = task->reason;
  verdict.counts = task->phase == TaskPhase::kAccepted;
  return verdict;
}

std::set<std::int64_t> KeptVersions(const Campaign& campaign, const KeepRule& rule) {
  std::set<std::int64_t> kept = {0};
  for (const auto& [site, open] : campaign.outstanding) {
    for (const std::string& task : open) kept.insert(campaign.tasks.at(task).base_version);
  }
  const std::int64_t newest = campaign.versions.back().number;
  for (const Version& version : campaign.versions) {
    const bool new_enough = rule.newest == 0 || version.number > newest - rule.newest;
    const bool nth = rule.every > 0 && version.number % rule.every == 0;
    if (new_enough || nth) kept.insert(version.number);
  }
  return kept;
}

std::set<Digest> ReferencedBlobs(const State& state, const KeepRule& rule) {
  std::set<Digest> referenced;
  for (const auto& [id, campaign] : state.campaigns) {
    const std::set<std::int64_t> kept = KeptVersions(campaign, rule);
    for (const Version& version : campaign.versions) {
      if (kept.contains(version.number)) referenced.insert(version.digest);
      // A later version is nothing without the products of all before it.
      if (!version.merged.digest.IsZero()) referenced.insert(version.merged.digest);
    }
    for (const auto& [name, blob] : campaign.versions.back().state) referenced.insert(blob.digest);
    if (campaign.ended()) continue;
    for (const Task* task : UnfoldedUpdates(campaign)) {
      referenced.insert(task->facts.digest);
    }
  }
  return referenced;
}

}  // namespace tributary::server

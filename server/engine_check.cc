// What may happen in which state.
#include <algorithm>
#include <cmath>
#include <set>

#include "core/count_text.h"
#include "server/decider.h"
#include "server/engine.h"
#include "server/pacing.h"
#include "server/strategy.h"

namespace tributary::server {
namespace {

Result<const Campaign*> LiveCampaign(const State& state, const std::string& id) {
  const Campaign* campaign = state.FindCampaign(id);
  if (campaign == nullptr) return NotFoundError("campaign " + id + " is not known");
  if (campaign->ended()) {
    return FailedPreconditionError("campaign " + id + " is " +
                                   std::string(CampaignPhaseName(campaign->phase)));
  }
  return campaign;
}

Status CheckReport(const State& state, const std::string& id) {
  const Task* task = state.FindTask(id);
  if (task == nullptr) return NotFoundError("task " + id + " is not known");
  if (task->phase != TaskPhase::kOutstanding) {
    return FailedPreconditionError("task " + id + " is settled");
  }
  return OkStatus();
}

Status CheckFacts(const ReportFacts& facts) {
  if (facts.samples < 0 || facts.tokens < 0 || facts.steps < 0) {
    return InvalidArgumentError("samples, tokens and steps must not be negative");
  }
  for (const double number :
       {facts.loss_first, facts.loss_last, facts.queue_seconds, facts.startup_seconds,
        facts.compute_seconds, facts.transfer_seconds, facts.learning_rate_sum}) {
    if (!std::isfinite(number)) return InvalidArgumentError("a loss or time is not finite");
  }
  for (const auto& [name, value] : facts.metrics) {
    if (!std::isfinite(value)) return InvalidArgumentError("a metric is not finite");
  }
  if (facts.bytes > static_cast<std::uint64_t>(INT64_MAX)) {
    return InvalidArgumentError("bytes is out of range");
  }
  return OkStatus();
}

// `closing`: of the updates that were folded; 0: not said.
Status CheckRoundIsAggregating(const State& state, const std::string& id, std::int64_t round,
                               std::int64_t closing) {
  TRIBUTARY_ASSIGN_OR_RETURN(const Campaign* campaign, LiveCampaign(state, id));
  if (campaign->phase != CampaignPhase::kAggregating || campaign->rounds.back().number != round) {
    return FailedPreconditionError("round " + std::to_string(round) + " of campaign " + id +
                                   " is not being aggregated");
  }
  if (closing != 0 && campaign->rounds.back().closings != closing) {
    return FailedPreconditionError("round " + std::to_string(round) + " of campaign " + id +
                                   " was opened again since that fold began");
  }
  return OkStatus();
}

// How many sites a campaign has, and needs, without those in `drop`.
struct Membership {
  std::int64_t named = 0;
  std::int64_t accepted = 0;
  std::int64_t needed = 0;
};
Result<Membership> MembersAfter(const Campaign& campaign, const std::vector<std::string>& drop) {
  std::set<std::string> gone;
  for (const std::string& site : drop) {
    const auto it = campaign.answers.find(site);
    if (it == campaign.answers.end()) {
      return NotFoundError("site " + site + " is not part of campaign " + campaign.id);
    }
    if (it->second.kind == SiteAnswer::Kind::kDropped || !gone.insert(site).second) {
      return FailedPreconditionError("site " + site + " is dropped already");
    }
  }
  Membership members;
  for (const auto& [site, answer] : campaign.answers) {
    if (gone.contains(site) || answer.kind == SiteAnswer::Kind::kDropped) continue;
    ++members.named;
    members.accepted += answer.kind == SiteAnswer::Kind::kAccepted ? 1 : 0;
  }
  TRIBUTARY_ASSIGN_OR_RETURN(const auto pacing, MakePacing(campaign.file));
  members.needed = std::max<std::int64_t>(pacing->SitesNeeded(members.named), 1);
  if (drop.empty() || members.named >= members.needed) return members;
  return FailedPreconditionError("campaign " + campaign.id + " would keep " +
                                 CountText(members.named, "site") + " and needs " +
                                 std::to_string(members.needed) + "; cancel it instead");
}

Status CheckNumbers(const Campaign& campaign, const CampaignChanged& event) {
  constexpr std::int64_t kLongestDeadline = std::int64_t{366} * 86400;
  if (event.rounds == 0 && event.deadline_seconds == -1 && !event.start && event.drop.empty()) {
    return InvalidArgumentError("nothing to change; name rounds, a deadline, or sites to drop");
  }
  const auto opened = std::max<std::int64_t>(static_cast<std::int64_t>(campaign.rounds.size()), 1);
  if (event.rounds != 0 && (event.rounds < opened || event.rounds > campaign.agreed_rounds)) {
    return InvalidArgumentError("rounds: " + std::to_string(event.rounds) +
                                " is out of range; must be " + std::to_string(opened) +
                                " (opened) to " + std::to_string(campaign.agreed_rounds) +
                                " (what the sites agreed to; for more, submit another campaign)");
  }
  if (event.deadline_seconds < -1 || event.deadline_seconds > kLongestDeadline) {
    return InvalidArgumentError("deadline: " + std::to_string(event.deadline_seconds) +
                                " s is out of range; must be 0 s (none) to 366 days");
  }
  return OkStatus();
}

// Whether the open round can still close and be folded without the sites that are left out, and
// without what dropped sites have not sent.
Status CheckRest(const Campaign& campaign, const std::set<std::string>& left_out,
                 const std::set<std::string>& dropped) {
  const Round& round = campaign.rounds.back();
  std::int64_t rest = 0;
  for (const auto& [site, id] : round.tasks) {
    if (round.left_out.contains(site) || left_out.contains(site)) continue;
    const bool gone =
        dropped.contains(site) || campaign.answers.at(site).kind == SiteAnswer::Kind::kDropped;
    const bool sent = campaign.tasks.at(id).phase == TaskPhase::kAccepted;
    rest += sent || !gone ? 1 : 0;
  }
  rest += static_cast<std::int64_t>(SubstitutesFor(campaign, dropped).size());
  const std::int64_t needed = UpdatesNeeded(campaign);
  if (rest >= needed) return OkStatus();
  return FailedPreconditionError("round " + std::to_string(round.number) + " would have " +
                                 CountText(rest, "site") + " and needs " + std::to_string(needed));
}

// Sites can be left out, and asked again, while nobody folds what they sent.
Status CheckReopening(const Campaign& campaign, const CampaignResumed& event) {
  const bool open =
      campaign.phase == CampaignPhase::kTraining ||
      (campaign.phase == CampaignPhase::kAggregating && campaign.rounds.back().fold_failed);
  if (!open) {
    return FailedPreconditionError("campaign " + campaign.id + " is " +
                                   std::string(CampaignPhaseName(campaign.phase)) +
                                   ": there is no round whose updates can be left out now");
  }
  const Round& round = campaign.rounds.back();
  std::set<std::string> left_out;
  for (const std::string& site : event.without) {
    if (!round.tasks.contains(site)) {
      return NotFoundError("site " + site + " is not part of round " +
                           std::to_string(round.number));
    }
    if (round.left_out.contains(site) || !left_out.insert(site).second) {
      return FailedPreconditionError("site " + site + " is left out of round " +
                                     std::to_string(round.number) + " already");
    }
  }
  return CheckRest(campaign, left_out, {});
}

Status CheckEvent(const State&, const SiteEnrolled&) { return OkStatus(); }
Status CheckEvent(const State& state, const CampaignSubmitted& event) {
  if (state.FindCampaign(event.campaign) != nullptr) {
    return AlreadyExistsError("campaign " + event.campaign + " exists; choose another name");
  }
  CampaignFile file;
  TRIBUTARY_RETURN_IF_ERROR(LoadYaml(event.yaml, event.campaign, &file));
  for (const std::string& site : file.sites) {
    if (!state.sites.contains(site)) {
      return FailedPreconditionError("site " + site + " is not enrolled with this federation");
    }
  }
  return OkStatus();
}
Status CheckEvent(const State& state, const CampaignAnswered& event) {
  TRIBUTARY_ASSIGN_OR_RETURN(const Campaign* campaign, LiveCampaign(state, event.campaign));
  const auto it = campaign->answers.find(event.site);
  if (it == campaign->answers.end()) {
    return PermissionDeniedError("site " + event.site + " is not part of campaign " +
                                 event.campaign);
  }
  if (it->second.kind == SiteAnswer::Kind::kDropped) {
    return FailedPreconditionError("site " + event.site + " was dropped from campaign " +
                                   event.campaign);
  }
  const auto kind = event.accepted ? SiteAnswer::Kind::kAccepted : SiteAnswer::Kind::kRefused;
  if (it->second.kind == kind && it->second.reason == event.reason) {
    return AlreadyExistsError("site " + event.site + " has answered");
  }
  return OkStatus();
}
Status CheckEvent(const State& state, const CampaignPaused& event) {
  TRIBUTARY_ASSIGN_OR_RETURN(const Campaign* campaign, LiveCampaign(state, event.campaign));
  if (!campaign->paused) return OkStatus();
  return FailedPreconditionError("campaign " + event.campaign + " is already paused");
}
Status CheckEvent(const State& state, const CampaignResumed& event) {
  TRIBUTARY_ASSIGN_OR_RETURN(const Campaign* campaign, LiveCampaign(state, event.campaign));
  if (!campaign->paused) {
    return FailedPreconditionError("campaign " + event.campaign + " is not paused");
  }
  if (event.without.empty() && !event.again) return OkStatus();
  return CheckReopening(*campaign, event);
}
Status CheckEvent(const State& state, const CampaignChanged& event) {
  TRIBUTARY_ASSIGN_OR_RETURN(const Campaign* campaign, LiveCampaign(state, event.campaign));
  TRIBUTARY_RETURN_IF_ERROR(CheckNumbers(*campaign, event));
  TRIBUTARY_ASSIGN_OR_RETURN(const Membership members, MembersAfter(*campaign, event.drop));
  const bool open = !campaign->rounds.empty() && !campaign->rounds.back().closed_at;
  if (!event.drop.empty() && open) {
    TRIBUTARY_RETURN_IF_ERROR(CheckRest(*campaign, {}, {event.drop.begin(), event.drop.end()}));
  }
  if (!event.start) return OkStatus();
  if (campaign->phase != CampaignPhase::kGathering) {
    return FailedPreconditionError("campaign " + event.campaign + " has started: it is " +
                                   std::string(CampaignPhaseName(campaign->phase)));
  }
  if (members.accepted >= members.needed) return OkStatus();
  return FailedPreconditionError(
      std::to_string(members.accepted) + " of " + std::to_string(members.named) +
      " sites accepted; campaign " + event.campaign + " needs " + std::to_string(members.needed) +
      " (pacing.quorum, else pacing.sites_per_round, else all): drop those that it can do without");
}
Status CheckEvent(const State& state, const CampaignCancelled& event) {
  return LiveCampaign(state, event.campaign).status();
}
Status CheckEvent(const State& state, const UpdateAccepted& event) {
  TRIBUTARY_RETURN_IF_ERROR(CheckReport(state, event.task));
  return CheckFacts(event.facts);
}
Status CheckEvent(const State& state, const TaskFailed& event) {
  return CheckReport(state, event.task);
}
Status CheckEvent(const State& state, const VersionPublished& event) {
  return CheckRoundIsAggregating(state, event.campaign, event.round, event.closing);
}
Status CheckEvent(const State& state, const AggregationFailed& event) {
  return CheckRoundIsAggregating(state, event.campaign, event.round, event.closing);
}
Status CheckEvent(const State& state, const AggregationTried& event) {
  return CheckRoundIsAggregating(state, event.campaign, event.round, event.closing);
}
Status CheckEvent(const State& state, const UpdateDamaged& event) {
  const Task* task = state.FindTask(event.task);
  if (task == nullptr) return NotFoundError("task " + event.task + " is not known");
  const Campaign& campaign = state.campaigns.at(task->campaign);
  const bool open = !campaign.ended() && !campaign.rounds.empty() &&
                    !campaign.rounds.back().closed_at &&
                    campaign.rounds.back().number == task->counts_in();
  if (open && task->kind == TaskKind::kTrain && task->phase == TaskPhase::kAccepted) {
    return OkStatus();
  }
  return FailedPreconditionError("task " + event.task + " is not part of an open round");
}
// Of campaigns that have ended too.
Result<const Version*> FindVersion(const State& state, const std::string& id, std::int64_t number) {
  const Campaign* campaign = state.FindCampaign(id);
  if (campaign == nullptr) return NotFoundError("campaign " + id + " is not known");
  if (number < 0 || number > campaign->versions.back().number) {
    return NotFoundError("campaign " + id + " has no version " + std::to_string(number));
  }
  return &campaign->versions[static_cast<std::size_t>(number)];
}
Status CheckEvent(const State& state, const VersionDamaged& event) {
  TRIBUTARY_ASSIGN_OR_RETURN(const Version* version,
                             FindVersion(state, event.campaign, event.version));
  return version->damage.empty() ? OkStatus() : AlreadyExistsError("the damage is known");
}
Status CheckEvent(const State& state, const VersionRestored& event) {
  TRIBUTARY_ASSIGN_OR_RETURN(const Version* version,
                             FindVersion(state, event.campaign, event.version));
  return version->damage.empty() ? FailedPreconditionError("no damage is known") : OkStatus();
}
Status CheckEvent(const State& state, const DeadlinePassed& event) {
  TRIBUTARY_ASSIGN_OR_RETURN(const Campaign* campaign, LiveCampaign(state, event.campaign));
  if (campaign->deadline && !campaign->deadline_passed && !campaign->paused) return OkStatus();
  return FailedPreconditionError("no deadline runs in campaign " + event.campaign);
}

// What the engine decides comes from nowhere else.
template <typename Decision>
Status CheckEvent(const State&, const Decision&) {
  return InvalidArgumentError("the engine itself decides this");
}

}  // namespace

Status Check(const State& state, const Event& event) {
  return std::visit([&](const auto& e) { return CheckEvent(state, e); }, event);
}

}  // namespace tributary::server

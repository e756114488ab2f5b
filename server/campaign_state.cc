#include "server/campaign_state.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace tributary::server {

std::string_view CampaignPhaseName(CampaignPhase phase) {
  static constexpr std::array<std::string_view, 7> kNames = {
      "gathering", "planning", "training", "aggregating", "finishing", "completed", "cancelled"};
  return kNames[static_cast<std::size_t>(phase)];
}

std::string_view TaskPhaseName(TaskPhase phase) {
  static constexpr std::array<std::string_view, 5> kNames = {"outstanding", "accepted", "failed",
                                                             "missed", "cancelled"};
  return kNames[static_cast<std::size_t>(phase)];
}

std::string_view SiteAnswerName(SiteAnswer::Kind kind) {
  static constexpr std::array<std::string_view, 4> kNames = {"waiting", "accepted", "refused",
                                                             "dropped"};
  return kNames[static_cast<std::size_t>(kind)];
}

const Campaign* State::FindCampaign(std::string_view id) const {
  const auto it = campaigns.find(std::string(id));
  return it == campaigns.end() ? nullptr : &it->second;
}

const Task* State::FindTask(std::string_view id) const {
  // A task id starts with its campaign's id: "<campaign>.r3.chem.t1".
  const Campaign* campaign = FindCampaign(id.substr(0, id.find('.')));
  if (campaign == nullptr) return nullptr;
  const auto it = campaign->tasks.find(std::string(id));
  return it == campaign->tasks.end() ? nullptr : &it->second;
}

void TakeOutOfRound(Campaign* campaign, const Task& task) {
  const std::int64_t number = task.counts_in();
  if (number < 1 || number > static_cast<std::int64_t>(campaign->rounds.size())) return;
  Round& round = campaign->rounds[static_cast<std::size_t>(number - 1)];
  const auto own = round.tasks.find(task.site);
  if (own == round.tasks.end() || own->second != task.id) return;
  round.tasks.erase(own);
  std::erase(round.sites, task.site);
  if (task.phase == TaskPhase::kOutstanding) --round.waiting;
}

void IndexTasks(Campaign* campaign) {
  campaign->outstanding.clear();
  for (Round& round : campaign->rounds) round.waiting = 0;
  for (const auto& [id, task] : campaign->tasks) {
    if (task.phase == TaskPhase::kOutstanding) campaign->outstanding[task.site].insert(id);
  }
  for (Round& round : campaign->rounds) {
    for (const auto& [site, id] : round.tasks) {
      const auto task = campaign->tasks.find(id);
      const bool open =
          task != campaign->tasks.end() && task->second.phase == TaskPhase::kOutstanding;
      round.waiting += open ? 1 : 0;
    }
  }
}

bool IsTaskOf(std::string_view task, std::string_view site) {
  const std::size_t round = task.find('.');
  const std::size_t name = round == std::string_view::npos ? round : task.find('.', round + 1);
  if (name == std::string_view::npos) return false;
  const std::string_view rest = task.substr(name + 1);
  return rest.size() > site.size() && rest.starts_with(site) && rest[site.size()] == '.';
}

bool MayExist(const Campaign& campaign, std::string_view task, const std::string& site) {
  const auto stem = [](std::string_view id) {  // without the number of the attempt
    return id.substr(0, id.find_last_not_of("0123456789") + 1);
  };
  const auto open = campaign.outstanding.find(site);
  if (open == campaign.outstanding.end()) return true;
  return std::none_of(open->second.begin(), open->second.end(), [&](const std::string& id) {
    const bool later = task.size() > id.size() || (task.size() == id.size() && task > id);
    return stem(id) == stem(task) && later;
  });
}

std::optional<std::int64_t> PastRoundOf(const State& state, std::string_view task) {
  const std::size_t dot = task.find('.');
  const Campaign* campaign = state.FindCampaign(task.substr(0, dot));
  if (campaign == nullptr || dot == std::string_view::npos || state.FindTask(task) != nullptr) {
    return std::nullopt;
  }
  const std::string_view rest = task.substr(dot + 1);  // "r3.chem.t1"
  std::size_t round = 0;
  if (rest.empty() || rest[0] != 'r') return std::nullopt;
  const auto [end, error] = std::from_chars(rest.data() + 1, rest.data() + rest.size(), round);
  const bool named = error == std::errc() && end != rest.data() + rest.size() && *end == '.';
  if (!named || round < 1 || round > campaign->rounds.size()) return std::nullopt;
  // It may have been carried to a later one, which is past before this one.
  const auto first = campaign->rounds.begin() + static_cast<std::ptrdiff_t>(round - 1);
  const bool any_is_past =
      std::any_of(first, campaign->rounds.end(), [](const Round& r) { return r.past; });
  if (!any_is_past) return std::nullopt;
  return static_cast<std::int64_t>(round);
}

std::string CampaignIdFor(const State& state, const std::string& name) {
  std::string id = name;
  for (std::int64_t nth = 2;; ++nth) {
    const Campaign* taken = state.FindCampaign(id);
    if (taken == nullptr || taken->phase != CampaignPhase::kCancelled) return id;
    id = NthCampaignId(name, nth);
  }
}

std::vector<const Task*> AcceptedTasks(const Campaign& campaign, const Round& round) {
  std::vector<const Task*> accepted;
  for (const auto& [site, id] : round.tasks) {
    const Task& task = campaign.tasks.at(id);
    if (task.phase == TaskPhase::kAccepted) accepted.push_back(&task);
  }
  return accepted;
}

std::vector<const Task*> CountedTasks(const Campaign& campaign, const Round& round) {
  std::vector<const Task*> counted = AcceptedTasks(campaign, round);
  if (round.counted.empty()) return counted;
  const std::set<std::string_view> ids(round.counted.begin(), round.counted.end());
  std::erase_if(counted, [&](const Task* task) { return !ids.contains(task->id); });
  return counted;
}

std::vector<const Task*> UnfoldedUpdates(const Campaign& campaign) {
  if (campaign.rounds.empty()) return {};
  const Round& round = campaign.rounds.back();
  // A journal of before there were lists of them: all of a closed round were folded.
  if (round.closed_at && round.counted.empty()) return {};
  std::vector<const Task*> updates = AcceptedTasks(campaign, round);
  if (!round.closed_at) return updates;
  const std::set<std::string_view> ids(round.counted.begin(), round.counted.end());
  std::erase_if(updates, [&](const Task* task) { return ids.contains(task->id); });
  return updates;
}

}  // namespace tributary::server

#include "server/campaign_state.h"

#include <array>

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

}  // namespace tributary::server

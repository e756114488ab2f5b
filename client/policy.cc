#include "client/policy.h"

#include "core/campaign_file.h"
#include "core/text.h"

namespace tributary::client {
namespace {

template <class Map>
std::string Names(const Map& map) {
  std::string names;
  for (const auto& [name, value] : map) names += (names.empty() ? "" : ", ") + name;
  return names.empty() ? "none" : names;
}

}  // namespace

Status Deny(const std::vector<std::string>& reasons) {
  if (reasons.empty()) return OkStatus();
  std::string message;
  for (const std::string& reason : reasons) message += (message.empty() ? "" : "; ") + reason;
  return PermissionDeniedError(std::move(message));
}

bool MatchesAny(const std::vector<std::string>& patterns, std::string_view name) {
  for (const std::string_view pattern : patterns) {
    if (pattern == name) return true;
    if (pattern.ends_with('*') && name.starts_with(pattern.substr(0, pattern.size() - 1))) {
      return true;
    }
  }
  return false;
}

Status CheckOffer(const std::optional<PolicySection>& policy, const v1::CampaignOffer& offer) {
  if (!policy) return PermissionDeniedError("this site has no policy; nothing is allowed");
  std::vector<std::string> reasons;
  if (!IsCampaignId(offer.campaign())) {  // it names a directory here
    reasons.push_back("\"" + Excerpt(offer.campaign()) + "\" is not a campaign name");
  }
  // The name allows every campaign of that name, also one that was submitted again.
  if (!MatchesAny(policy->campaigns, CampaignNameOf(offer.campaign()))) {
    reasons.push_back("campaign " + Excerpt(offer.campaign()) + " is not in policy.campaigns");
  }
  if (!MatchesAny(policy->leads, offer.lead())) {
    reasons.push_back("lead " + Excerpt(offer.lead()) + " is not in policy.leads");
  }
  if (!policy->models.contains(offer.model())) {
    reasons.push_back("model " + Excerpt(offer.model()) + " is not in policy.models (" +
                      Names(policy->models) + ")");
  }
  std::vector<std::string> data = {offer.train_data()};
  data.insert(data.end(), offer.evaluation_data().begin(), offer.evaluation_data().end());
  for (const std::string& name : data) {
    if (!policy->data.contains(name)) {
      reasons.push_back("data " + Excerpt(name) + " is not in policy.data (" + Names(policy->data) +
                        ")");
    }
  }
  if (offer.max_walltime_seconds() < 1 ||
      offer.max_walltime_seconds() > policy->max_walltime.count()) {
    reasons.push_back("walltime of " + std::to_string(offer.max_walltime_seconds()) +
                      " s is over policy.max_walltime of " +
                      std::to_string(policy->max_walltime.count()) + " s");
  }
  return Deny(reasons);
}

Status CheckTask(const std::optional<PolicySection>& policy, const v1::CampaignOffer& offer,
                 const v1::TaskAssignment& task) {
  TRIBUTARY_RETURN_IF_ERROR(CheckOffer(policy, offer));
  std::vector<std::string> reasons;
  if (task.walltime_seconds() < 1 || task.walltime_seconds() > policy->max_walltime.count()) {
    reasons.push_back("walltime of " + std::to_string(task.walltime_seconds()) +
                      " s is over policy.max_walltime");
  }
  if (task.kind() == v1::TASK_KIND_TRAIN && task.training().steps() > policy->max_steps) {
    reasons.push_back(std::to_string(task.training().steps()) +
                      " steps are over policy.max_steps of " + std::to_string(policy->max_steps));
  }
  return Deny(reasons);
}

}  // namespace tributary::client

// What a site decides, alone: yes or no to a campaign and to each of its tasks, with the reason.
// Fails closed.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "client/client_config.h"
#include "core/status.h"
#include "tributary/v1/federation.pb.h"

namespace tributary::client {

// Permission denied, with every reason, when the site's policy does not allow the campaign.
Status CheckOffer(const std::optional<PolicySection>& policy, const v1::CampaignOffer& offer);

// The same for one task of an accepted campaign: a campaign may change nothing afterwards.
Status CheckTask(const std::optional<PolicySection>& policy, const v1::CampaignOffer& offer,
                 const v1::TaskAssignment& task);

// "loss/*" matches "loss/heldout"; "loss" matches itself only.
bool MatchesAny(const std::vector<std::string>& patterns, std::string_view name);

// Permission denied for these reasons; ok where there are none.
Status Deny(const std::vector<std::string>& reasons);

}  // namespace tributary::client

// Between the engine's plain structs and the messages of tributary.v1.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "server/campaign_state.h"
#include "tributary/v1/control.pb.h"
#include "tributary/v1/federation.pb.h"

namespace tributary::server {

v1::CampaignOffer ToOffer(const Campaign& campaign, const Manifest& manifest);
v1::TaskAssignment ToAssignment(const Campaign& campaign, const Task& task);
ReportFacts FromStatement(const v1::Statement& statement);

// The campaign's rounds that are not past, in order.
std::vector<v1::RoundStatus> ToRounds(const Campaign& campaign);
// Rounds in order, as a status' history: of what is too large for one message the newest.
void SetHistory(std::vector<v1::RoundStatus> rounds, v1::CampaignStatus* status);

// `progress`: what clients last said about tasks under way, by ProgressKey (progress_board.h).
// Without rounds that are past.
v1::CampaignStatus ToStatus(const Campaign& campaign,
                            const std::map<std::string, v1::TaskProgress>& progress);
// Without rounds, tasks and texts: for lists.
v1::CampaignStatus ToSummary(const Campaign& campaign);

}  // namespace tributary::server

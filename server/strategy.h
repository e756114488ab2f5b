// What a campaign's aggregation strategy means for its tasks and rounds.
#pragma once

#include <string>
#include <vector>

#include "aggregators/round.h"
#include "core/campaign_file.h"
#include "core/status.h"
#include "core/train_directive.h"
#include "server/campaign_state.h"

namespace tributary::server {

// Whether the campaign can be run at all: the strategy is known, its options are right, and it can
// do what the file asks for. Errors say why not, and the nearest thing that works.
Status CheckStrategy(const CampaignFile& file);

// Updates that each round needs, whoever withdraws, is left out or dropped: the quorum of the file,
// and what the aggregator can fold.
std::int64_t UpdatesNeeded(const Campaign& campaign);

// Of a campaign that CheckStrategy accepted.
TrainDirective DirectiveFor(const Campaign& campaign, const Task& task);

// Of the first round.
TrainDirective FirstDirective(const CampaignFile& file);

// What its tasks ask of a trainer beyond plain training, by the names that sites' trainers answer
// with: docs/trainer_contract.md.
std::vector<std::string> TrainerNeeds(const CampaignFile& file);

// LoRA ranks that the site trains; 0: all of the adapter's.
std::int64_t SiteRank(const CampaignFile& file, const std::string& site);

// The products that belong to the base weights under this version, in their order.
std::vector<BlobRef> MergedProducts(const Campaign& campaign, std::int64_t version);

// What the aggregator is told about an accepted update.
aggregators::Contribution ContributionOf(const Campaign& campaign, const Task& task);

}  // namespace tributary::server

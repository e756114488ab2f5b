// What this site can never run of an offered campaign: said at once, instead of by jobs that fail.
#pragma once

#include <chrono>
#include <string>

#include "client/client_config.h"
#include "client/site_ledger.h"
#include "core/status.h"
#include "tributary/v1/federation.pb.h"

namespace tributary::client {

// Model and data of the offer are there and can be read. Permission denied, with every reason;
// unavailable where the file system does not say.
// The policy allows the offer.
Status CheckFiles(const PolicySection& policy, const v1::CampaignOffer& offer);

// Files, the adapter's shape against the model's config.json where that can be read, and whether
// the allocation holds one more job of the offer's size.
Status CheckFeasible(const ClientConfig& config, SiteLedger& ledger,
                     const v1::CampaignOffer& offer);

// What the trainer itself says of model, adapter and data, and whether it can do what the campaign
// asks for. OK where it does not say. Runs a program, for as long as `limit`.
Status AskTrainer(const ClientConfig& config, const v1::CampaignOffer& offer,
                  std::chrono::seconds limit);

}  // namespace tributary::client

// Checks of what a lead submits, before the engine hears of it.
#pragma once

#include <string>
#include <vector>

#include "core/blob_store.h"
#include "core/campaign_file.h"
#include "core/sha256.h"
#include "core/status.h"
#include "server/campaign_check.h"
#include "server/campaign_state.h"
#include "server/event.h"

namespace tributary::server {

// Whether the campaign can still be run when these sites leave it, as CheckCampaignText says.
Status CheckWithout(const Campaign& campaign, const std::vector<std::string>& sites);

// What a person asks for is judged by today's rules, also of a campaign that was submitted under
// earlier ones: its journal is not. As Check() says.
Status CheckByTodaysRules(const Campaign& campaign, const Event& event);

// The blob is a safetensors file of finite F32 tensors that the campaign's strategy can train.
// Reads it whole.
Status CheckInitialAdapter(const BlobStore& blobs, const Digest& digest, const CampaignFile& file);

}  // namespace tributary::server

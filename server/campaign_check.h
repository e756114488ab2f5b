// What can be said of a campaign file and its first adapter without a server's state: the same at
// the lead, before anything is sent, and at the server, which believes nobody.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/campaign_file.h"
#include "core/safetensors.h"
#include "core/status.h"

namespace tributary::server {

// Every problem of the file at once; then whether aggregator and pacing exist and fit together.
Result<CampaignFile> CheckCampaignText(std::string_view yaml, const std::string& file_name);

// What is allowed, and probably not meant. Each begins with the key that it is about.
std::vector<std::string> CampaignWarnings(const CampaignFile& file);

// Finite F32 tensors that the campaign's strategy can train. Reads the file whole.
Status CheckInitialTensors(const SafetensorsFile& adapter, const CampaignFile& file);

}  // namespace tributary::server

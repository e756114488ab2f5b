// A campaign file and its first adapter, checked on the lead's machine as the server checks them.
#pragma once

#include <string>
#include <vector>

#include "core/campaign_file.h"
#include "core/safetensors.h"
#include "core/status.h"

namespace tributary::cli {

struct CampaignDraft {
  std::string path;
  std::string yaml;
  CampaignFile file;
  std::vector<std::string> warnings;
};
// Errors and warnings name file and line: "chem.yaml:7: pacing.quorum: ...".
Result<CampaignDraft> ReadDraft(const std::string& path);

// Writes the adapter that the campaign starts from to `to`.
Result<SafetensorsWriter::Written> WriteInitial(const CampaignDraft& draft, const std::string& to);
// Whether WriteInitial could. Weights of the model, where the adapter starts from them, are not
// copied for that.
Status CheckInitial(const CampaignDraft& draft);

}  // namespace tributary::cli

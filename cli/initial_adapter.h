// Version 0 of a campaign's global adapter, made on the lead's machine.
#pragma once

#include <string>

#include "core/campaign_file.h"
#include "core/safetensors.h"
#include "core/status.h"

namespace tributary::cli {

// Writes the adapter that the campaign starts from to `path` (F32): the one in adapter.initial,
// PEFT's initialisation for LoRA, or the model's own weights for "full" and for modules_to_save;
// those are read from the directory of model.config. Paths in the file are relative to
// `base_directory`. When model.config is given, the shapes are checked against it.
Result<SafetensorsWriter::Written> WriteInitialAdapter(const CampaignFile& file,
                                                       const std::string& base_directory,
                                                       const std::string& path);

// Whether WriteInitialAdapter would copy weights of the model; and whether it could.
bool CopiesModel(const CampaignFile& file);
Status CheckModel(const CampaignFile& file, const std::string& base_directory);

}  // namespace tributary::cli

// Whether the adapter in adapter.initial is, to a campaign, what it says that it is.
#pragma once

#include <string>

#include "core/peft_adapter.h"
#include "core/status.h"

namespace tributary::cli {

// What the factors of an adapter mean is said in its adapter_config.json. A campaign that says
// otherwise (another scale, other targets) would start from another function than the adapter is:
// invalid argument, naming the first difference and what to do. `model` may be null; then the
// settings themselves are compared instead of what they come to in the model. A file that is not
// there contradicts nothing.
Status CheckInitialConfig(const std::string& config_path, const AdapterConfig& campaign,
                          const ModelShape* model);

}  // namespace tributary::cli

// The files of an adapter directory.
#pragma once

#include <string>

#include "core/status.h"

namespace tributary {

// Not found without adapter_model.safetensors; the message tells of an adapter_model.bin, which is
// a pickle and is not read.
Status CheckAdapterWeights(const std::string& directory);

}  // namespace tributary

// The files of an adapter directory.
#pragma once

#include <string>
#include <string_view>

#include "core/status.h"

namespace tributary {

inline constexpr std::string_view kAdapterPickleFile = "adapter_model.bin";  // PEFT before 0.7

// Not found without adapter_model.safetensors; the message tells of an adapter_model.bin, which is
// a pickle and is not read.
Status CheckAdapterWeights(const std::string& directory);

}  // namespace tributary

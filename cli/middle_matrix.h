// An adapter with middle matrices as one that PEFT knows.
#pragma once

#include <string>

#include "core/status.h"

namespace tributary::cli {

// Writes to `out` the adapter at `adapter` with B C in the place of every B, and without the
// matrices C ("<module>.lora_C.weight" [r, r]). In fp64, rounded once.
Status WorkInMiddle(const std::string& adapter, const std::string& out);

}  // namespace tributary::cli

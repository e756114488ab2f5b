// How many files and connections this process may have open.
#pragma once

#include <cstdint>

#include "core/status.h"

namespace tributary {

// Raises the soft limit as far as the hard one allows, at most to 262,144; returns what now holds.
Result<std::uint64_t> RaiseFileLimit();

}  // namespace tributary

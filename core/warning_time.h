// When jobs are told that their walltime ends.
#pragma once

#include <chrono>

namespace tributary {

// A site's job.warning_before where its file does not say otherwise.
inline constexpr std::chrono::seconds kDefaultWarningBefore{30};

}  // namespace tributary

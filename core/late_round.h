// When a round is late: a contract between the server, which then lets go of it, and who watches.
#pragma once

#include <cstdint>

namespace tributary {

// A round is late once so many others have opened since: nobody waits for what is still out of it.
inline constexpr std::int64_t kLateAfterRounds = 16;

}  // namespace tributary

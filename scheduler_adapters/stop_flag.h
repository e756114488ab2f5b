// How commands of a scheduler that hangs are told that the program is to end.
#pragma once

#include <atomic>
#include <memory>

namespace tributary::scheduler_adapters {

// Set by any thread: a command that runs is killed soon after, and no further one is started. Null:
// never.
using StopFlag = std::shared_ptr<const std::atomic<bool>>;

}  // namespace tributary::scheduler_adapters

// Starts programs from a process with many threads.
#pragma once

#include <string>
#include <vector>

#include "core/status.h"

namespace tributary::scheduler_adapters {

struct SpawnOptions {
  std::string log_path;  // standard output and error are appended to it; standard input is empty
  int inherit = -1;      // a descriptor to hand over
  int as = -1;           // under this number
};

// Runs the program in a session of its own, with default signal handling, and waits for its end.
// Returns its exit status (128 + number for a signal). Of the daemon's descriptors it gets those
// without O_CLOEXEC, and `inherit`. Leaves no zombie. Any thread.
Result<int> RunToItsEnd(const std::vector<std::string>& command, const SpawnOptions& options);

}  // namespace tributary::scheduler_adapters

// The process that stands over one local job, from its start to its record.
#pragma once

#include <string>

namespace tributary::scheduler_adapters {

// Runs the job recorded in `job_directory` (see local_job_directory.h) and records how it ended.
// Returns an exit status for main(): 0 in the process that LocalSchedulerAdapter waits for, which
// ends at once while a forked copy goes on, and in that copy when the end is recorded; 1 with a
// line on standard error otherwise.
//
// To be called first in main(), while the process has one thread. Handles and blocks signals as it
// needs. Reads the inherited descriptor kInheritedLock, which keeps the job's lock for the life of
// the supervisor.
int RunLocalJob(const std::string& job_directory);

}  // namespace tributary::scheduler_adapters

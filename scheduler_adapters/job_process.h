// The processes of one local job, as its supervisor sees them.
#pragma once

#include <sched.h>
#include <sys/types.h>

#include "core/status.h"
#include "scheduler_adapters/scheduler_adapter.h"

namespace tributary::scheduler_adapters {

// Starts the command in a session and process group of its own, on these CPUs, with exactly the
// spec's environment, and killed when the calling thread dies. Returns when the program runs; the
// error says which step failed, in a process that is gone. For a process with one thread.
Result<pid_t> StartJobProcess(const JobSpec& spec, const cpu_set_t& cpus);

// SIGKILL to the process and to all that descend from it, also in sessions of their own; not to one
// whose parent has died before.
void KillTree(pid_t root);

// SIGKILL to every child of the calling process. False when they cannot be listed.
bool KillChildren();

}  // namespace tributary::scheduler_adapters

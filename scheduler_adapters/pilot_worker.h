// The program inside a pilot's job.
#pragma once

#include <string>

namespace tributary::scheduler_adapters {

// Serves the pilot that PilotAdapter recorded under this name in this directory (see
// pilot_directory.h): takes waiting tasks of its profile, the oldest that fits into what is left of
// its walltime first, runs one at a time, records its end, and beats. Leaves when it was idle for
// longer than its limit, when its walltime is nearly over or what waits does not fit into it, when
// it is asked to stop, or on SIGTERM, SIGINT or SIGUSR1, which its task hears as a warning. A
// second incarnation (a requeued job) first records that the task of the first one was lost.
//
// On a job of many nodes it runs on the first; the tasks' own launcher spreads them. Takes over the
// process, which has one thread: signals, children, working directory. Returns the exit status.
int RunPilot(const std::string& directory, const std::string& name);

}  // namespace tributary::scheduler_adapters

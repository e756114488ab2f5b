// Whose jobs a scheduler's commands submit, list and cancel.
#pragma once

#include <string>

#include "scheduler_adapters/scheduler_adapter.h"

namespace tributary::scheduler_adapters {

// The name of the daemon's user, as /etc/passwd or else `id -un` says, which knows directory
// services; behind a command prefix, of the user who is there.
// Empty when it cannot be learnt: then only names tell whose a job is.
std::string SchedulerUser(const SchedulerOptions& options);

}  // namespace tributary::scheduler_adapters

// The doctor's look at the trainer: whether it starts in the environment of a job, and whether the
// Python packages under it fit together.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "client/client_config.h"
#include "client/doctor_check.h"

namespace tributary::client {

// Runs `trainer version` on this machine as a job would run it: job.environment alone, modules,
// setup, container; not the launcher, which would ask for nodes. Ends it after `limit`.
Checks CheckTrainer(const ClientConfig& config, std::chrono::seconds limit);

// The interpreter of a trainer that is a Python program, as an argument vector: named itself, or by
// the script's first lines. Empty: it is none, as far as can be seen.
std::vector<std::string> PythonOf(const JobSection& job);

// Versions of the packages that trainers use, and one line for each requirement that what is
// installed does not meet. The interpreter is asked, in the environment of a job.
Checks CheckPythonPackages(const ClientConfig& config, std::chrono::seconds limit);

}  // namespace tributary::client

// The site's trainer, run on this machine as a job would run it: job.environment alone, modules,
// setup, container; not the launcher, which would ask for nodes.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "client/client_config.h"
#include "core/status.h"
#include "scheduler_adapters/command_runner.h"

namespace tributary::client {

// On standard error, before the name of a module that did not load.
inline constexpr std::string_view kModuleMark = "tributary-doctor: module ";

// Any program in the environment of a job. `paths` are seen in its container, to read. Ended after
// `limit`.
Result<scheduler_adapters::CommandResult> RunLikeAJob(const ClientConfig& config,
                                                      const std::vector<std::string>& words,
                                                      const std::vector<std::string>& paths,
                                                      std::chrono::seconds limit);

}  // namespace tributary::client

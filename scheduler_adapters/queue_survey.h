// What a batch system offers this user, for whoever writes a site's file: queues with their limits,
// accounts. For people to choose from; nothing is concluded from it.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/status.h"
#include "scheduler_adapters/scheduler_adapter.h"

namespace tributary::scheduler_adapters {

struct QueueOffer {
  std::string name;
  bool is_default = false;
  bool open = true;                              // takes jobs and runs them
  std::optional<std::chrono::seconds> walltime;  // the longest; nothing: no limit, or not said
  // 0: not known. Cpus and gpus are those of its largest node.
  std::int64_t nodes = 0, cpus = 0, gpus = 0;
};

struct QueueSurvey {
  std::vector<QueueOffer> queues;     // in the scheduler's order
  std::vector<std::string> accounts;  // that this user may name; empty also where none is known
};

// The adapter whose commands are on this machine, in options.command_directory or the PATH:
// "slurm", "pbs", or "local". Slurm comes first: its sites often have a qsub that translates.
std::string FindScheduler(const SchedulerOptions& options);

// Asks options.adapter, `slurm` or `pbs`. What accounts there are is no reason to fail: many sites
// do not tell. Unavailable with the scheduler's words when it does not answer.
Result<QueueSurvey> SurveyQueues(const SchedulerOptions& options);

}  // namespace tributary::scheduler_adapters

// A trainer that only adds a constant to every parameter: the job of benchmarks and tests that are
// not about training.
#pragma once

#include <string>

#include "core/status.h"
#include "scheduler_adapters/scheduler_adapter.h"

namespace tributary::bench {

// Honours the task directory contract: reads task.json and global/, writes update/. The constant
// depends on the site and the task's seed, so that no two updates are the same blob. For evaluate
// tasks: metric "loss/<data>" = 1.
Status TrainConstant(const std::string& task_directory);

// The same as a fake scheduler's job: the exit code.
int RunConstantTrainer(const scheduler_adapters::JobSpec& job);

}  // namespace tributary::bench

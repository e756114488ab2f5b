// The doctor's look at the scheduler: whether it answers, takes the site's jobs, and, when asked
// for, runs one.
#pragma once

#include <chrono>
#include <functional>

#include "client/client_config.h"
#include "client/doctor_check.h"
#include "scheduler_adapters/scheduler_adapter.h"

namespace tributary::client {

// Version, and a test-only submission of the job of a made-up task.
Checks CheckScheduler(const ClientConfig& config, scheduler_adapters::SchedulerAdapter& adapter);

struct TestJobOptions {
  bool gpu = false;                                        // it also lists the node's GPUs
  std::chrono::seconds limit{600};                         // then it is cancelled
  std::chrono::milliseconds poll{0};                       // 0: as the site's file says
  std::function<bool()> keep_going = [] { return true; };  // false: cancelled at once
};

// Submits a job like a task's, with the site's queue, nodes, launcher and container, but with a
// short program: it writes into the workspace, and says which models and data it cannot read. The
// job and its directory are gone when this returns, or the last check says which job is left.
Checks CheckByJob(const ClientConfig& config, scheduler_adapters::SchedulerAdapter& adapter,
                  const TestJobOptions& options, const Progress& progress);

}  // namespace tributary::client

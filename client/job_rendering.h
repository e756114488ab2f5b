// How a task becomes a job: from the site's file and the task. A campaign decides nothing here but
// the walltime, which the site's policy bounds.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "client/client_config.h"
#include "core/task_contract.h"
#include "scheduler_adapters/scheduler_adapter.h"

namespace tributary::client {

// What all jobs of this daemon begin with, and no job of another one, nor of another federation at
// the same address: that one's names, which begin alike, may be remembered by the scheduler.
std::string JobNamePrefix(const ClientConfig& config, const std::string& site);
// What they began with before names told the federation.
std::string OldJobNamePrefix(const ClientConfig& config, const std::string& site);

// Unique to the task and the attempt: the job is found again by it after a crash.
std::string JobName(const std::string& prefix, const std::string& task, std::int64_t attempt);

struct JobRequest {
  std::string name;
  std::string directory;  // of the task
  TaskKind kind = TaskKind::kTrain;
  std::chrono::seconds walltime{0};
  std::string state;               // the campaign's durable state; a container sees it too
  std::vector<std::string> paths;  // model and data, likewise, to read
};

scheduler_adapters::JobSpec MakeJob(const JobSection& job, const JobRequest& request);

// The job of a task that does not exist, for previews and checks: campaign "example", the first
// model and data of the policy, the longest walltime that it allows.
scheduler_adapters::JobSpec SampleJob(const ClientConfig& config, const std::string& kind);

}  // namespace tributary::client

#include "tests/bench/pilot_benchmark.h"

#include <poll.h>

#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>

#include "core/clock.h"
#include "core/files.h"
#include "scheduler_adapters/batch_adapter.h"
#include "scheduler_adapters/pilot_adapter.h"
#include "tests/integration/slurm_cluster.h"

namespace tributary::bench {
namespace {

using integration::SlurmCluster;
using nlohmann::json;
using scheduler_adapters::BatchAdapter;
using scheduler_adapters::IsTerminal;
using scheduler_adapters::JobSpec;
using scheduler_adapters::JobState;
using scheduler_adapters::JobStatus;
using scheduler_adapters::PilotAdapter;
using scheduler_adapters::PilotOptions;
using scheduler_adapters::SchedulerAdapter;
using scheduler_adapters::SchedulerOptions;
using Steady = std::chrono::steady_clock;

constexpr int kPollMs = 200;

double Seconds(Steady::duration time) { return std::chrono::duration<double>(time).count(); }

struct Mode {
  double wall_seconds = 0;  // from the first submission to the last task's end
  double node_seconds = 0;  // held by jobs, until the last of them ended
  double busy_seconds = 0;  // of that, with tasks
  std::int64_t jobs = 0;

  json ToJson() const {
    return {{"wall_seconds", wall_seconds},
            {"node_seconds", node_seconds},
            {"idle_node_seconds", node_seconds - busy_seconds},
            {"scheduler_jobs", jobs}};
  }
};

Result<std::unique_ptr<SchedulerAdapter>> OpenSlurm(const std::string& directory,
                                                    const Clock& clock) {
  SchedulerOptions options;
  options.state_directory = directory + "/state";
  options.command_interval = std::chrono::milliseconds(0);
  return BatchAdapter::Make(options, scheduler_adapters::MakeSlurm(options), clock);
}

JobSpec TaskFor(const PilotBenchOptions& options, const std::string& directory,
                std::int64_t round) {
  JobSpec spec;
  spec.name = "bench." + std::to_string(round);
  spec.working_directory = directory + "/" + spec.name;
  spec.command = {"/bin/sleep", std::to_string(options.task_seconds)};
  spec.environment = {{"PATH", "/usr/bin:/bin"}};
  spec.stdout_path = spec.working_directory + "/job.out";
  spec.stderr_path = spec.working_directory + "/job.err";
  spec.walltime = std::chrono::minutes(2);
  spec.directives = {"--begin=now+" + std::to_string(options.wait_seconds)};
  return spec;
}

// Submits the task of a round and waits for its end, as a daemon does.
Result<JobStatus> RunTask(SchedulerAdapter& adapter, const JobSpec& spec) {
  TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(spec.working_directory));
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string id, adapter.Submit(spec));
  const std::vector<std::string> ids = {id};
  while (true) {
    const JobStatus status = adapter.Query(ids).at(0);
    if (status.state == JobState::kCompleted) return status;
    if (IsTerminal(status.state)) {
      return InternalError(spec.name + " " + std::string(JobStateName(status.state)) + ": " +
                           status.message);
    }
    poll(nullptr, 0, kPollMs);
  }
}

// What the jobs held their nodes for is added as `finish` sees fit.
Result<Mode> RunRounds(const PilotBenchOptions& options, SchedulerAdapter& adapter,
                       const std::string& directory, std::vector<JobStatus>* ended) {
  Mode mode;
  const auto begin = Steady::now();
  for (std::int64_t round = 1; round <= options.rounds; ++round) {
    if (round > 1) poll(nullptr, 0, static_cast<int>(options.think_seconds * 1000));
    TRIBUTARY_ASSIGN_OR_RETURN(JobStatus status,
                               RunTask(adapter, TaskFor(options, directory, round)));
    ended->push_back(std::move(status));
  }
  mode.wall_seconds = Seconds(Steady::now() - begin);
  mode.busy_seconds = static_cast<double>(options.rounds * options.task_seconds);
  return mode;
}

Result<Mode> RunJobs(const PilotBenchOptions& options, const Clock& clock) {
  TRIBUTARY_ASSIGN_OR_RETURN(const auto scratch, TemporaryDirectory::Create("bench-jobs-"));
  TRIBUTARY_ASSIGN_OR_RETURN(const auto adapter, OpenSlurm(scratch.path(), clock));
  std::vector<JobStatus> ended;
  TRIBUTARY_ASSIGN_OR_RETURN(Mode mode, RunRounds(options, *adapter, scratch.path(), &ended));
  mode.jobs = options.rounds;
  for (const JobStatus& job : ended) {
    if (!job.started || !job.ended) return InternalError("a job ended without its times");
    mode.node_seconds += std::chrono::duration<double>(*job.ended - *job.started).count();
  }
  return mode;
}

Result<Mode> RunPilots(const PilotBenchOptions& options, const Clock& clock) {
  TRIBUTARY_ASSIGN_OR_RETURN(const auto scratch, TemporaryDirectory::Create("bench-pilots-"));
  TRIBUTARY_ASSIGN_OR_RETURN(auto slurm, OpenSlurm(scratch.path(), clock));
  PilotOptions pilots;
  pilots.directory = scratch.path() + "/pilots";
  pilots.command = {options.client_program, "pilot"};
  pilots.walltime = std::chrono::hours(1);
  pilots.idle_timeout = std::chrono::seconds(options.idle_timeout);
  pilots.poll_interval = std::chrono::milliseconds(kPollMs);
  pilots.lost_after = std::chrono::seconds(0);
  TRIBUTARY_ASSIGN_OR_RETURN(const auto adapter,
                             PilotAdapter::Make(pilots, std::move(slurm), clock));
  std::vector<JobStatus> ended;
  TRIBUTARY_ASSIGN_OR_RETURN(Mode mode, RunRounds(options, *adapter, scratch.path(), &ended));
  // The last idle time is paid for, too.
  while (true) {
    (void)adapter->Query({});
    TRIBUTARY_ASSIGN_OR_RETURN(const auto usages,
                               scheduler_adapters::ReadPilotUsage(pilots.directory));
    mode.jobs = static_cast<std::int64_t>(usages.size());
    mode.node_seconds = 0;
    bool all_ended = true;
    for (const auto& usage : usages) {
      all_ended = all_ended && usage.ended;
      mode.node_seconds +=
          static_cast<double>(usage.nodes) * std::chrono::duration<double>(usage.held).count();
    }
    if (all_ended) return mode;
    poll(nullptr, 0, kPollMs);
  }
}

}  // namespace

Result<std::string> RunPilotBenchmark(const PilotBenchOptions& options) {
  if (const std::string missing = SlurmCluster::MissingPrograms(false); !missing.empty()) {
    return UnavailableError("skipped: a Slurm cluster needs " + missing +
                            " (deploy/install-deps.sh --dev)");
  }
  TRIBUTARY_ASSIGN_OR_RETURN(const auto cluster, SlurmCluster::Start({.nodes = 1}));
  const SystemClock clock;
  TRIBUTARY_ASSIGN_OR_RETURN(const Mode jobs, RunJobs(options, clock));
  TRIBUTARY_ASSIGN_OR_RETURN(const Mode pilots, RunPilots(options, clock));
  const json result = {{"rounds", options.rounds},
                       {"wait_seconds_per_job", options.wait_seconds},
                       {"task_seconds", options.task_seconds},
                       {"think_seconds", options.think_seconds},
                       {"pilot_idle_timeout_seconds", options.idle_timeout},
                       {"job_per_round", jobs.ToJson()},
                       {"pilot", pilots.ToJson()},
                       {"speedup", jobs.wall_seconds / pilots.wall_seconds}};
  return result.dump(2);
}

}  // namespace tributary::bench

// Runs the commands of a batch system: argument vectors, never a shell; with a time limit, bounded
// output and a bounded rate.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "scheduler_adapters/stop_flag.h"

namespace tributary::scheduler_adapters {

struct CommandResult {
  int exit_status = 0;     // 128 + number when a signal ended it; -1 when it cannot be known
  bool timed_out = false;  // killed at the time limit, with its process group
  bool truncated = false;  // it printed more than is kept
  std::string out, err;

  bool ok() const { return exit_status == 0 && !timed_out; }
  // One bounded line for people: the exit status and the end of what it said.
  std::string Summary() const;
};

struct CommandRunnerOptions {
  std::vector<std::string> prefix = {};       // put before each command
  std::string directory = {};                 // of the programs; empty: found by PATH
  std::chrono::milliseconds timeout{60'000};  // of one command
  std::chrono::milliseconds interval{0};      // from one start to the next, at least
  std::size_t max_output = 8'000'000;         // of `out` that is kept; `err` keeps its last 64 KiB
  // What it started is killed with it, also in sessions of its own: for a program that is to leave
  // nothing. Not for a scheduler's commands: what they start may be a job.
  bool whole_tree = false;
  StopFlag stop = {};
};

// One thread at a time.
class CommandRunner {
 public:
  // Hears standard output as it comes, in pieces of any size; then `out` stays empty and nothing is
  // truncated.
  using Sink = std::function<void(std::string_view)>;

  explicit CommandRunner(CommandRunnerOptions options) : options_(std::move(options)) {}

  // `command[0]` is a program's name, such as "squeue". Standard input is empty. The environment is
  // the daemon's, with TZ=UTC and LC_ALL=C, without what would change the form of an output
  // (SQUEUE_FORMAT, SLURM_TIME_FORMAT, ...) or the defaults of a submission (SBATCH_*,
  // SLURM_JOB_ID,
  // ...). Fails only when the program cannot be started; Unavailable when it was told to stop.
  Result<CommandResult> Run(const std::vector<std::string>& command, const Sink& sink = {});

 private:
  CommandRunnerOptions options_;
  std::chrono::steady_clock::time_point last_start_;
};

struct SchedulerOptions;
// For a scheduler's commands.
CommandRunnerOptions RunnerOptions(const SchedulerOptions& options);

}  // namespace tributary::scheduler_adapters

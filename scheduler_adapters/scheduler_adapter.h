// The one interface between a client and the scheduler of its site.
//
// Most sites configure an adapter of the table in scheduler_adapter.cc ("local" for a workstation);
// write one only for a scheduler that is not there, and let it pass
// tests/contract/scheduler_contract.h.
#pragma once

#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/clock.h"
#include "core/config.h"
#include "core/status.h"
#include "scheduler_adapters/stop_flag.h"

namespace tributary::scheduler_adapters {

inline constexpr std::size_t kMaxJobNameBytes = 64;
inline constexpr std::size_t kMaxJobMessageBytes = 512;  // of JobStatus::raw_state and message

// What to run. Nothing is passed through a shell and nothing is inherited from the daemon's
// environment.
struct JobSpec {
  std::string
      name;  // unique among all jobs ever submitted: [A-Za-z0-9_.-], at most 64, no leading '.'
  std::string working_directory;     // absolute, exists
  std::vector<std::string> command;  // argument vector; the program as an absolute path
  std::map<std::string, std::string>
      environment;                       // all of it; the adapter adds what its scheduler defines
  std::string stdout_path, stderr_path;  // absolute; appended to; may be the same file
  // Shell lines of the site's own file that run before the command: modules (`load_module NAME`
  // ends the job when it cannot be loaded), exports. Never from a campaign.
  std::vector<std::string> prologue;
  std::int64_t cpus = 1;  // per node
  std::int64_t gpus = 0;  // per node
  std::int64_t nodes = 1;
  std::int64_t tasks = 1;  // per node, for launchers in the command: each has its share of the cpus
  std::chrono::seconds walltime{0};  // 0: no limit of ours
  int warning_signal = SIGTERM;  // sent to the job's processes `warning_before` the walltime ends
  std::chrono::seconds warning_before{0};  // 0: no warning
  std::string queue, account;              // empty: the scheduler's default
  // The site's own further arguments of sbatch or qsub, one option each: "--constraint=gpu",
  // "-l filesystems=home:eagle". Never from a campaign.
  std::vector<std::string> directives;
};

// OK, or every problem with the spec that no scheduler could make good.
Status CheckJobSpec(const JobSpec& spec);

enum class JobState : std::uint8_t {
  kQueued,
  kHeld,
  kRunning,
  kCompleted,  // exit code 0
  kFailed,     // another exit code, a signal, or a command that could not be executed
  kCancelled,
  kTimedOut,
  kPreempted,
  kNodeFailed,  // ended without a record: the machine or the job's supervisor died
  kOutOfMemory,
  kUnknown,  // the scheduler does not know the job, or could not be asked; says nothing about the
             // job
};

std::string_view JobStateName(JobState state);  // "queued", "timed out", ...
bool IsTerminal(JobState state);                // completed ... out of memory: never changes again

// What the scheduler charges a job with, over all its incarnations. 0: not known.
struct JobUsage {
  std::int64_t nodes = 0, cpus = 0, gpus = 0;  // allocated, whole job
  std::chrono::seconds elapsed{0};
  bool all_runs = false;  // `elapsed` is surely of all incarnations, not of the last alone
};

struct JobStatus {
  std::string id;
  JobState state = JobState::kUnknown;
  bool suspended = false;        // it holds its nodes, but its processes stand still
  std::string raw_state;         // the scheduler's own word
  std::optional<int> exit_code;  // 128 + number when a signal ended the job
  // Of the last incarnation; `ended` also of one before, of a job that was put back into its queue.
  std::optional<Timestamp> submitted, started, ended;
  int restarts = 0;  // how often the scheduler put it back into its queue
  JobUsage usage;
  std::string message;  // why, for people: one line
};

struct NamedJob {
  std::string name, id;
};

// A job in the queue by its id, or one that could be submitted.
using EstimateTarget = std::variant<std::string, JobSpec>;

// Calls come from one thread at a time and may block for the adapter's time limit on commands. Jobs
// live on when the adapter object, or the daemon, goes. Ids are opaque texts without spaces that
// stay valid across restarts.
class SchedulerAdapter {
 public:
  virtual ~SchedulerAdapter() = default;

  // Queues the job and returns its id. A name that was submitted before is not run again: its id is
  // returned, whatever the rest of the spec says. kInvalidArgument: the spec can never run here.
  // kResourceExhausted: not now, in the scheduler's words (a full queue); nothing was queued.
  // kUnavailable: the scheduler could not be asked; the job may or may not be queued, and
  // submitting it again is safe.
  virtual Result<std::string> Submit(const JobSpec& spec) = 0;

  // One status for each id, in order. Never fails: what could not be learnt is kUnknown with a
  // message.
  virtual std::vector<JobStatus> Query(std::span<const std::string> ids) = 0;

  // Asks for the end of a job that Submit or Find gave the id of: a signal that it can handle, a
  // kill later. Returns before it ended, and the scheduler may forget the wish: ask again until the
  // end is seen. OK for a job that has ended already; kNotFound for an id that is not known here.
  virtual Status Cancel(const std::string& id) = 0;

  // When the job is expected to start; nothing when the scheduler has no opinion or the job started
  // already.
  virtual Result<std::optional<Timestamp>> Estimate(const EstimateTarget& target) = 0;

  // The id of the job submitted under this name, for recovery after a crash between Submit and the
  // caller's note of it. Nothing: no job of this name runs, ran or will run, and Submit is safe.
  virtual Result<std::optional<std::string>> Find(std::string_view name) = 0;

  // Jobs of this user that have not ended and whose names begin so.
  virtual Result<std::vector<NamedJob>> ListLive(std::string_view name_prefix) = 0;

  // What the adapter has on record of jobs that ended goes, of those that are `unwanted`: the
  // caller will neither ask about them nor submit one of their names again.
  virtual Status ForgetEnded(const std::function<bool(std::string_view name)>& unwanted) = 0;

  // OK when the scheduler would take this job: queue, account and size. Leaves no job behind.
  // kInvalidArgument with its reason when it refuses; kFailedPrecondition when it takes the job and
  // will not run it as things are (a stopped queue).
  virtual Status CheckAccepted(const JobSpec& spec) = 0;

  // What Submit would hand to the scheduler, for people to read: a batch script, or the command.
  virtual std::string Render(const JobSpec& spec) const = 0;

  // The scheduler and its version, "slurm 22.05.8". Fails when it cannot be asked.
  virtual Result<std::string> Version() = 0;
};

// The `scheduler` part of a client's configuration file.
struct SchedulerOptions {
  std::string adapter = "local";
  std::string state_directory;            // absolute; where jobs are recorded
  std::chrono::seconds cancel_grace{10};  // local: from SIGTERM to SIGKILL
  // slurm, pbs: put before each command, for sites with wrappers, e.g. {"/usr/bin/ssh", "login1"}.
  std::vector<std::string> command_prefix;
  std::string command_directory;  // slurm, pbs: where sbatch or qsub is; empty: found by PATH
  std::chrono::seconds command_timeout{60};  // slurm, pbs: of one command
  std::chrono::milliseconds command_interval{
      200};  // slurm, pbs: from one command's start to the next's
  // slurm, pbs: how long a submission without an answer is looked for before the job is submitted
  // again.
  std::chrono::seconds settle{60};
  bool requeue = true;  // slurm, pbs: the scheduler may run a job again that lost its node
  // Not in the file: the site's directives of all its jobs (JobSpec::directives), which may choose
  // the cluster that jobs are then looked for at.
  std::vector<std::string> directives;
  // Not in the file: the program that supervises a local job; the job's directory is appended. The
  // client passes
  // {"<its own path>", "supervise"}, which calls RunLocalJob().
  std::vector<std::string> supervisor_command;
  StopFlag stop = {};  // not in the file

  void Describe(ConfigVisitor& v);
};

std::vector<std::string> SchedulerAdapterNames();

// The adapter of the table named by the options. `clock` outlives the adapter.
Result<std::unique_ptr<SchedulerAdapter>> MakeSchedulerAdapter(const SchedulerOptions& options,
                                                               const Clock& clock);

}  // namespace tributary::scheduler_adapters

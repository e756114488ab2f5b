#include "scheduler_adapters/local_adapter.h"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "core/files.h"
#include "core/text.h"
#include "scheduler_adapters/job_script.h"
#include "scheduler_adapters/local_job_directory.h"
#include "scheduler_adapters/spawn.h"

namespace tributary::scheduler_adapters {
namespace {

bool IsJobName(const std::string& id) {
  JobSpec spec;
  spec.name = id;
  spec.working_directory = spec.stdout_path = spec.stderr_path = "/";
  spec.command = {"/"};
  return CheckJobSpec(spec).ok();
}

std::int64_t AllowedCpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

// Sends SIGTERM to the supervisor, if it lives. While the lock is held the process id in it is the
// supervisor's; the handle on that process is taken before the lock is looked at again, so that no
// other process can be hit.
void SignalSupervisor(const LocalJobDirectory& job) {
  const std::optional<pid_t> pid = job.IsLocked() ? job.ReadSupervisor() : std::nullopt;
  if (!pid) return;  // it will see the request when it looks, before it starts the job
  const FileDescriptor process(static_cast<int>(syscall(SYS_pidfd_open, *pid, 0)));
  if (!job.IsLocked()) return;
  if (process.valid()) {
    syscall(SYS_pidfd_send_signal, process.get(), SIGTERM, nullptr, 0);
  } else if (errno == ENOSYS) {
    kill(*pid, SIGTERM);
  }
}

JobStatus FromExit(const LocalExit& exit) {
  JobStatus status;
  status.state = exit.state;
  status.raw_state = JobStateName(exit.state);
  status.exit_code = exit.exit_code;
  status.submitted = exit.submitted;
  status.started = exit.started;
  status.ended = exit.ended;
  status.message = exit.message;
  return status;
}

JobStatus Simple(JobState state, std::string_view message) {
  JobStatus status;
  status.state = state;
  status.raw_state = JobStateName(state);
  status.message = Excerpt(message, kMaxJobMessageBytes);
  return status;
}

JobStatus StatusOf(const LocalJobDirectory& job) {
  const bool locked = job.IsLocked();
  // After the lock: a supervisor that went in between has left its record.
  if (job.HasEnded()) {
    const Result<LocalExit> exit = job.ReadExit();
    return exit.ok() ? FromExit(*exit)
                     : Simple(JobState::kNodeFailed,
                              "the record of its end is damaged: " + exit.status().message());
  }
  if (!job.IsStarted()) {
    if (locked) return Simple(JobState::kQueued, "");
    if (!job.IsSubmitted()) return Simple(JobState::kUnknown, "no job of this id");
    if (job.IsCancelRequested()) return Simple(JobState::kCancelled, "cancelled before it started");
    return Simple(JobState::kNodeFailed, "its supervisor vanished before the job started");
  }
  JobStatus status = locked ? Simple(JobState::kRunning, "")
                            : Simple(JobState::kNodeFailed,
                                     "its supervisor vanished without a record of the job's end");
  if (const Result<LocalStart> start = job.ReadStart(); start.ok()) {
    status.submitted = start->submitted;
    status.started = start->started;
  }
  return status;
}

ScriptHead LocalHead() { return {{}, "TRIBUTARY_JOB_ID", false}; }

// A job with shell lines of the site runs through a script.
Result<JobSpec> WithScript(JobSpec spec) {
  if (spec.prologue.empty()) return spec;
  const std::string script = JoinPath(spec.working_directory, "job.sh");
  TRIBUTARY_RETURN_IF_ERROR(WriteFileAtomic(script, RenderJobScript(spec, LocalHead()), 0700));
  spec.environment["TRIBUTARY_JOB_ID"] = spec.name;
  spec.command = {script};
  spec.prologue.clear();
  return spec;
}

// A job that ran, runs, will run, or was cancelled before it could.
bool IsTaken(const LocalJobDirectory& job) {
  return job.IsSubmitted() &&
         (job.IsLocked() || job.IsStarted() || job.HasEnded() || job.IsCancelRequested());
}

}  // namespace

Status LocalSchedulerAdapter::CheckFits(const JobSpec& spec) const {
  TRIBUTARY_RETURN_IF_ERROR(CheckJobSpec(spec));
  const std::string job = "job " + spec.name + ": ";
  if (spec.nodes != 1) {
    return InvalidArgumentError(job + std::to_string(spec.nodes) +
                                " nodes; the local adapter has one");
  }
  const std::int64_t allowed = AllowedCpus();
  if (spec.cpus > allowed) {
    return InvalidArgumentError(job + std::to_string(spec.cpus) + " cpus; this machine allows " +
                                std::to_string(allowed));
  }
  return OkStatus();
}

Result<std::string> LocalSchedulerAdapter::Submit(const JobSpec& spec) {
  TRIBUTARY_RETURN_IF_ERROR(CheckFits(spec));
  const std::string directory = JoinPath(options_.state_directory, spec.name);
  return SubmitOnce(spec, directory).Annotate("submit job " + spec.name);
}

Result<std::string> LocalSchedulerAdapter::SubmitOnce(const JobSpec& spec,
                                                      const std::string& directory) {
  const LocalJobDirectory job(directory);
  if (IsTaken(job)) return spec.name;
  TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(directory));
  TRIBUTARY_ASSIGN_OR_RETURN(std::optional<FileDescriptor> lock, job.TakeLock());
  if (!lock || job.IsStarted() || job.HasEnded()) return spec.name;
  TRIBUTARY_ASSIGN_OR_RETURN(const JobSpec runnable, WithScript(spec));
  TRIBUTARY_RETURN_IF_ERROR(job.WriteJob({runnable, options_.cancel_grace, clock_.Now()}));

  std::vector<std::string> command = options_.supervisor_command;
  command.push_back(directory);
  const Result<int> exit_status = RunToItsEnd(
      command, {.log_path = job.LogPath(), .inherit = lock->get(), .as = kInheritedLock});
  if (!exit_status.ok()) return UnavailableError(exit_status.status().message());
  if (*exit_status != 0) {
    const Result<std::string> log = ReadFileTail(job.LogPath(), 300);
    return UnavailableError("the supervisor failed with " + std::to_string(*exit_status) + ": " +
                            Excerpt(log.ok() ? *log : "", 300));
  }
  return spec.name;
}

std::vector<JobStatus> LocalSchedulerAdapter::Query(std::span<const std::string> ids) {
  std::vector<JobStatus> statuses;
  statuses.reserve(ids.size());
  for (const std::string& id : ids) statuses.push_back(QueryOne(id));
  return statuses;
}

JobStatus LocalSchedulerAdapter::QueryOne(const std::string& id) const {
  JobStatus status = IsJobName(id)
                         ? StatusOf(LocalJobDirectory(JoinPath(options_.state_directory, id)))
                         : Simple(JobState::kUnknown, "no job of this id");
  status.id = id;
  return status;
}

Status LocalSchedulerAdapter::Cancel(const std::string& id) {
  const LocalJobDirectory job(JoinPath(options_.state_directory, id));
  if (!IsJobName(id) || !job.IsSubmitted()) {
    return NotFoundError("job " + Excerpt(id, kMaxJobNameBytes) + " is not known");
  }
  if (job.HasEnded()) return OkStatus();
  TRIBUTARY_RETURN_IF_ERROR(job.RequestCancel());
  SignalSupervisor(job);
  return OkStatus();
}

Result<std::optional<Timestamp>> LocalSchedulerAdapter::Estimate(const EstimateTarget& target) {
  if (const auto* spec = std::get_if<JobSpec>(&target)) {
    TRIBUTARY_RETURN_IF_ERROR(CheckFits(*spec));
    return std::optional(clock_.Now());  // there is no queue
  }
  const std::string& id = std::get<std::string>(target);
  const JobState state = QueryOne(id).state;
  if (state == JobState::kUnknown) {
    return NotFoundError("job " + Excerpt(id, kMaxJobNameBytes) + " is not known");
  }
  return state == JobState::kQueued ? std::optional(clock_.Now()) : std::nullopt;
}

Result<std::optional<std::string>> LocalSchedulerAdapter::Find(std::string_view name) {
  const std::string id(name);
  const LocalJobDirectory job(JoinPath(options_.state_directory, id));
  if (!IsJobName(id) || !IsTaken(job)) return std::optional<std::string>();
  return std::optional(id);
}

std::string LocalSchedulerAdapter::Render(const JobSpec& spec) const {
  if (!spec.prologue.empty()) return RenderJobScript(spec, LocalHead());
  std::string text = "# Run directly, without a shell, in " + spec.working_directory + "\n";
  for (const auto& [name, value] : spec.environment) text += name + "=" + ShellQuote(value) + "\n";
  for (const std::string& argument : spec.command) text += ShellQuote(argument) + " ";
  text.back() = '\n';
  return text;
}

Result<std::vector<NamedJob>> LocalSchedulerAdapter::ListLive(std::string_view name_prefix) {
  TRIBUTARY_ASSIGN_OR_RETURN(const auto names, ListDirectory(options_.state_directory));
  std::vector<NamedJob> live;
  for (const std::string& name : names) {
    if (!name.starts_with(name_prefix) || !IsJobName(name)) continue;
    const JobState state = QueryOne(name).state;
    if (state != JobState::kUnknown && !IsTerminal(state)) live.push_back({name, name});
  }
  return live;
}

Status LocalSchedulerAdapter::ForgetEnded(
    const std::function<bool(std::string_view name)>& unwanted) {
  TRIBUTARY_ASSIGN_OR_RETURN(const auto names, ListDirectory(options_.state_directory));
  for (const std::string& name : names) {
    if (!IsJobName(name) || !IsTerminal(QueryOne(name).state) || !unwanted(name)) continue;
    TRIBUTARY_RETURN_IF_ERROR(RemoveTree(JoinPath(options_.state_directory, name)));
  }
  return OkStatus();
}

Result<std::unique_ptr<SchedulerAdapter>> MakeLocalSchedulerAdapter(const SchedulerOptions& options,
                                                                    const Clock& clock) {
  if (!options.state_directory.starts_with('/')) {
    return InvalidArgumentError("scheduler.state_directory: \"" + Excerpt(options.state_directory) +
                                "\" must be an absolute path");
  }
  if (options.supervisor_command.empty() || !options.supervisor_command[0].starts_with('/')) {
    return InvalidArgumentError("the local adapter needs the absolute path of its supervisor");
  }
  TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(options.state_directory));
  return std::unique_ptr<SchedulerAdapter>(new LocalSchedulerAdapter(options, clock));
}

}  // namespace tributary::scheduler_adapters

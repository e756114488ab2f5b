#include "client/daemon_job.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <cstdlib>

#include "client/job_rendering.h"
#include "client/proxy.h"
#include "core/endpoint.h"
#include "core/files.h"
#include "core/log.h"
#include "security/server_probe.h"

namespace tributary::client {
namespace {

using scheduler_adapters::IsTerminal;
using scheduler_adapters::JobSpec;
using scheduler_adapters::JobState;
using scheduler_adapters::JobStatus;
using scheduler_adapters::NamedJob;
using scheduler_adapters::SchedulerAdapter;

constexpr std::chrono::milliseconds kShortestLook{200}, kMostPause{15 * 60 * 1000};
constexpr std::chrono::seconds kReachLimit{5};
constexpr const char* kStarter = "starter";
constexpr const char* kReadyMark = "ready";  // in the records of a job that could serve
// What a daemon needs of the environment of who starts it: where commands are, and the way out.
constexpr const char* kHandedOn[] = {"PATH",        "HOME",        "USER",         "LOGNAME",
                                     "https_proxy", "HTTPS_PROXY", "http_proxy",   "grpc_proxy",
                                     "no_proxy",    "NO_PROXY",    "no_grpc_proxy"};

std::string RecordsOf(const ClientConfig& config) {
  return JoinPath(config.state_dir, "daemon-jobs");
}

// `who` keeps records of its own: one process at a time has them open, and the task jobs' are the
// serving daemon's.
Result<std::unique_ptr<SchedulerAdapter>> OpenAdapter(const ClientConfig& config,
                                                      const std::string& who, const Clock& clock) {
  scheduler_adapters::SchedulerOptions options = config.scheduler;
  options.state_directory = JoinPath(RecordsOf(config), who);
  options.directives = config.daemon_job->directives;
  return scheduler_adapters::MakeSchedulerAdapter(options, clock);
}

std::int64_t NumberOf(const std::string& name) {
  return std::strtoll(name.c_str() + name.rfind('.') + 1, nullptr, 10);
}

// One starter at a time.
Result<FileDescriptor> Lock(const ClientConfig& config) {
  const std::string path = JoinPath(config.state_dir, "daemon-job.lock");
  FileDescriptor file(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!file.valid()) return ErrnoError(path, errno);
  if (flock(file.get(), LOCK_EX) != 0) return ErrnoError(path, errno);
  return file;
}

}  // namespace

std::string DaemonJobPrefix(const ClientConfig& config, const std::string& site) {
  return "tribd-" + JobNamePrefix(config, site).substr(std::string_view("trib-").size());
}

std::string SuccessorName(const std::string& name) {
  return name.substr(0, name.rfind('.') + 1) + std::to_string(NumberOf(name) + 1);
}

JobSpec MakeDaemonJob(const DaemonJobOptions& options, const std::string& name) {
  const DaemonJobSection& job = *options.config.daemon_job;
  JobSpec spec;
  spec.name = name;
  spec.working_directory = options.config.state_dir;
  spec.command = {options.program, "run", "--in-job", "--config", options.config_path};
  for (const char* variable : kHandedOn) {
    if (const char* value = std::getenv(variable)) spec.environment[variable] = value;
  }
  spec.environment[kDaemonJobVariable] = name;
  spec.stdout_path = spec.stderr_path = JoinPath(options.config.state_dir, "daemon-job.out");
  spec.cpus = job.cpus;
  spec.walltime = job.walltime;
  // No warning before the end: schedulers may send it a minute early, and the end's own signal
  // does.
  spec.queue = job.queue;
  spec.account = job.account;
  spec.directives = job.directives;
  return spec;
}

namespace {

// The name that the last starter drew, whose submission may have had no answer; a new one where its
// job has ended.
Result<std::string> NameToStart(SchedulerAdapter& adapter, const DaemonJobOptions& options,
                                const std::string& prefix, Timestamp now) {
  const std::string note = JoinPath(JoinPath(RecordsOf(options.config), kStarter), "name");
  const auto drawn = ReadFile(note);
  if (drawn.ok() && drawn->starts_with(prefix)) {
    TRIBUTARY_ASSIGN_OR_RETURN(const auto found, adapter.Find(*drawn));
    if (!found) return *drawn;
    const std::string ids[] = {*found};
    if (!IsTerminal(adapter.Query(ids).front().state)) return *drawn;
  }
  const std::string name = prefix + std::to_string(ToMicros(now) / 1'000'000) + ".1";
  TRIBUTARY_RETURN_IF_ERROR(WriteFileAtomic(note, name));
  return name;
}

bool IsStopped(const ClientConfig& config) { return PathExists(DaemonJobStopFile(config)); }

}  // namespace

std::string DaemonJobStopFile(const ClientConfig& config) {
  return JoinPath(RecordsOf(config), "stop");
}

Result<std::string> EnsureDaemonJob(const DaemonJobOptions& options, const Clock& clock) {
  TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(options.config.state_dir).Annotate("state_dir"));
  if (IsStopped(options.config)) {
    return FailedPreconditionError("no daemon's job is submitted as long as there is " +
                                   DaemonJobStopFile(options.config));
  }
  TRIBUTARY_ASSIGN_OR_RETURN(const FileDescriptor lock, Lock(options.config));
  TRIBUTARY_ASSIGN_OR_RETURN(const auto adapter, OpenAdapter(options.config, kStarter, clock));
  const std::string prefix = DaemonJobPrefix(options.config, options.site);
  TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<NamedJob> live, adapter->ListLive(prefix));
  if (!live.empty()) {
    return "the daemon's job is there: " + live.front().id + " (" + live.front().name + ")";
  }
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string name,
                             NameToStart(*adapter, options, prefix, clock.Now()));
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string id, adapter->Submit(MakeDaemonJob(options, name)));
  return "the daemon's job is submitted: " + id + " (" + name + ")";
}

Result<std::unique_ptr<DaemonSuccession>> DaemonSuccession::Start(const DaemonJobOptions& options,
                                                                  const std::string& name,
                                                                  const Clock& clock) {
  std::unique_ptr<DaemonSuccession> succession(new DaemonSuccession(options, name, clock));
  TRIBUTARY_ASSIGN_OR_RETURN(succession->adapter_, OpenAdapter(options.config, name, clock));
  succession->successor_ = SuccessorName(name);
  succession->thread_ = std::thread([s = succession.get()] { s->Loop(); });
  return succession;
}

DaemonSuccession::~DaemonSuccession() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    changed_.NotifyAll();
  }
  if (thread_.joinable()) thread_.join();
}

Status DaemonSuccession::SayReady() {
  const auto server = SplitHostAndPort(options_.config.server);
  if (server && !ChooseProxy(*server, VariableOfProcess).in_use) {
    TRIBUTARY_RETURN_IF_ERROR(
        security::ConnectToHost(server->host, server->port, kReachLimit).status());
  }
  return WriteFileAtomic(ReadyMarkOf(name_), "");
}

std::string DaemonSuccession::ReadyMarkOf(const std::string& name) const {
  return JoinPath(JoinPath(RecordsOf(options_.config), name), kReadyMark);
}

// The successor's, which may run already, has a name of its own that is not known here for sure.
void DaemonSuccession::ForgetEarlier() {
  const std::string records = RecordsOf(options_.config);
  const auto names = ListDirectory(records);
  const std::string own = name_.substr(0, name_.rfind('.') + 1);
  const std::int64_t number = NumberOf(name_);
  for (const std::string& name : names.ok() ? *names : std::vector<std::string>()) {
    const bool later = name.starts_with(own) && NumberOf(name) >= number;
    if (name.starts_with("tribd-") && !later) (void)RemoveTree(JoinPath(records, name));
  }
}

bool DaemonSuccession::HandedOver() {
  MutexLock lock(mutex_);
  return handed_over_;
}

bool DaemonSuccession::Sleep(std::chrono::milliseconds time) {
  const auto until = std::chrono::steady_clock::now() + time;
  MutexLock lock(mutex_);
  while (!stopping_ && changed_.WaitUntil(mutex_, until)) {
  }
  return !stopping_;
}

void DaemonSuccession::Loop() {
  const DaemonJobSection& job = *options_.config.daemon_job;
  // Put back into the queue, this job may have a successor already: that is looked for at once.
  const auto there = adapter_->Find(successor_);
  if (!there.ok() || !*there) {
    if (!Sleep(job.walltime - job.successor_before)) return;
  }
  const auto look =
      std::max<std::chrono::milliseconds>(options_.config.job.poll_interval, kShortestLook);
  std::chrono::milliseconds pause = look;
  std::chrono::milliseconds after_an_end = look;
  do {
    const std::string before = successor_;
    const auto serves = LookAfterSuccessor();
    if (!serves.ok()) {
      LogWarning("client", "the daemon's next job cannot be looked after now; will try again",
                 {{"job", successor_}, {"reason", serves.status()}});
    } else if (*serves) {
      LogInfo("client", "the daemon's next job runs; this one leaves", {{"job", successor_}});
      MutexLock lock(mutex_);
      handed_over_ = true;
      return;
    }
    pause = look;
    if (successor_ != before) {  // it ended at once: not hundreds of them
      after_an_end = std::min(2 * after_an_end, kMostPause);
      pause = after_an_end;
    }
  } while (Sleep(pause));
}

Result<bool> DaemonSuccession::LookAfterSuccessor() {
  if (IsStopped(options_.config)) return false;
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string id,
                             adapter_->Submit(MakeDaemonJob(options_, successor_)));
  const std::string ids[] = {id};
  const std::vector<JobStatus> status = adapter_->Query(ids);
  if (IsTerminal(status.front().state)) {  // cancelled, or it failed: the next one
    LogWarning("client", "the daemon's next job has ended; another one is submitted",
               {{"job", successor_}, {"state", JobStateName(status.front().state)}});
    successor_ = SuccessorName(successor_);
    return false;
  }
  return status.front().state == JobState::kRunning && PathExists(ReadyMarkOf(successor_));
}

}  // namespace tributary::client

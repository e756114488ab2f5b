#include "scheduler_adapters/local_supervisor.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <optional>

#include "core/clock.h"
#include "core/files.h"
#include "scheduler_adapters/cpu_share.h"
#include "scheduler_adapters/job_process.h"
#include "scheduler_adapters/local_job_directory.h"

namespace tributary::scheduler_adapters {
namespace {

using Steady = std::chrono::steady_clock;

// Runs one job to its record. One thread.
class Supervisor {
 public:
  Supervisor(LocalJobDirectory directory, LocalJob job)
      : directory_(std::move(directory)), job_(std::move(job)) {}

  Status Run();

 private:
  Status Prepare();
  Status StartJob();
  void Watch();
  void HandleSignals();
  void Reap();
  void KeepTime();
  void SignalJob(int signal_number) const { kill(-pid_, signal_number); }
  std::optional<Steady::time_point> NextDeadline() const;
  void EndLeftovers() const;
  Status Record(const LocalExit& exit) const { return directory_.WriteExit(exit); }
  LocalExit Verdict() const;

  LocalJobDirectory directory_;
  LocalJob job_;
  SystemClock clock_;
  FileDescriptor signals_;
  std::optional<Timestamp> started_;
  pid_t pid_ = 0;                   // of the job's first process, its session and its group
  std::optional<int> wait_status_;  // of that process
  std::optional<Steady::time_point> warn_at_, end_at_, kill_at_;
  bool warned_ = false, timed_out_ = false, told_to_end_ = false;
};

Status Supervisor::Run() {
  TRIBUTARY_RETURN_IF_ERROR(Prepare());
  // After the process id is published: a request is seen here, or comes as a signal.
  if (directory_.IsCancelRequested()) {
    return Record({JobState::kCancelled,
                   {},
                   job_.submitted,
                   clock_.Now(),
                   {},
                   "cancelled before it started"});
  }
  started_ = clock_.Now();
  TRIBUTARY_RETURN_IF_ERROR(directory_.MarkStarted({job_.submitted, *started_}));
  if (const Status status = StartJob(); !status.ok()) {
    return Record(
        {JobState::kFailed, 127, job_.submitted, clock_.Now(), started_, status.message()});
  }
  Watch();
  EndLeftovers();
  return Record(Verdict());
}

Status Supervisor::Prepare() {
  if (chdir("/") != 0) return ErrnoError("chdir /", errno);
  sigset_t handled;
  sigemptyset(&handled);
  for (const int number : {SIGCHLD, SIGTERM, SIGINT, SIGHUP}) sigaddset(&handled, number);
  if (sigprocmask(SIG_BLOCK, &handled, nullptr) != 0) return ErrnoError("sigprocmask", errno);
  signals_ = FileDescriptor(signalfd(-1, &handled, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_.valid()) return ErrnoError("signalfd", errno);
  // Processes that the job leaves behind come to us, so that they can be ended with it.
  if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) return ErrnoError("prctl", errno);
  return LocalJobDirectory::WriteSupervisor(kInheritedLock, getpid());
}

Status Supervisor::StartJob() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) {
    return ErrnoError("sched_getaffinity", errno);
  }
  // Static: the claim on the CPUs lasts until this process ends.
  static const CpuShare share =
      CpuShare::Choose(allowed, job_.spec.cpus, job_.spec.name, CpuShare::DefaultClaimsPath());
  job_.spec.environment.try_emplace("OMP_NUM_THREADS", std::to_string(job_.spec.cpus));
  TRIBUTARY_ASSIGN_OR_RETURN(pid_, StartJobProcess(job_.spec, share.cpus()));
  if (job_.spec.walltime.count() > 0) {
    end_at_ = Steady::now() + job_.spec.walltime;
    if (job_.spec.warning_before.count() > 0) warn_at_ = *end_at_ - job_.spec.warning_before;
  }
  return OkStatus();
}

void Supervisor::Watch() {
  while (!wait_status_) {
    int timeout = -1;
    if (const auto deadline = NextDeadline()) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(*deadline - Steady::now());
      timeout = static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 3'600'000));
    }
    pollfd wait{signals_.get(), POLLIN, 0};
    poll(&wait, 1, timeout);
    HandleSignals();
    Reap();
    if (!wait_status_) KeepTime();
  }
}

void Supervisor::HandleSignals() {
  signalfd_siginfo info{};
  while (read(signals_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    if (info.ssi_signo == SIGCHLD || told_to_end_) continue;
    told_to_end_ = true;
    kill_at_ = Steady::now() + job_.cancel_grace;
    SignalJob(SIGTERM);
  }
}

void Supervisor::Reap() {
  int status = 0;
  for (pid_t pid = waitpid(-1, &status, WNOHANG); pid > 0; pid = waitpid(-1, &status, WNOHANG)) {
    if (pid == pid_) wait_status_ = status;
  }
}

void Supervisor::KeepTime() {
  const auto now = Steady::now();
  if (warn_at_ && now >= *warn_at_) {
    warn_at_.reset();
    warned_ = true;
    SignalJob(job_.spec.warning_signal);
  }
  if (end_at_ && now >= *end_at_) {
    end_at_.reset();
    timed_out_ = true;
    SignalJob(SIGKILL);
  }
  if (kill_at_ && now >= *kill_at_) {
    kill_at_.reset();
    SignalJob(SIGKILL);
  }
}

std::optional<Steady::time_point> Supervisor::NextDeadline() const {
  std::optional<Steady::time_point> next;
  for (const auto& deadline : {warn_at_, end_at_, kill_at_}) {
    if (deadline && (!next || *deadline < *next)) next = deadline;
  }
  return next;
}

void Supervisor::EndLeftovers() const {
  SignalJob(SIGKILL);
  // Then what left the job's group: adopted children, and theirs as they are adopted.
  while (KillChildren()) {
    if (waitpid(-1, nullptr, 0) < 0 && errno != EINTR) return;
  }
}

LocalExit Supervisor::Verdict() const {
  LocalExit exit{JobState::kCompleted, {}, job_.submitted, clock_.Now(), started_, ""};
  const int status = *wait_status_;
  const int signal_number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  exit.exit_code = signal_number != 0 ? 128 + signal_number : WEXITSTATUS(status);
  const std::string how = signal_number != 0 ? "ended by signal " + std::to_string(signal_number) +
                                                   " (" + strsignal(signal_number) + ")"
                                             : "exit code " + std::to_string(*exit.exit_code);
  if (told_to_end_ && directory_.IsCancelRequested()) {
    exit.state = JobState::kCancelled;
    exit.message = "cancelled; " + how;
  } else if (told_to_end_) {
    exit.state = JobState::kNodeFailed;
    exit.message = "the supervisor was told to end, as at a shutdown; " + how;
  } else if (timed_out_ || (warned_ && signal_number == job_.spec.warning_signal)) {
    exit.state = JobState::kTimedOut;
    exit.message =
        "its walltime of " + std::to_string(job_.spec.walltime.count()) + " s ended; " + how;
  } else if (*exit.exit_code != 0) {
    exit.state = JobState::kFailed;
    exit.message = how;
  }
  return exit;
}

int Complain(const Status& status) {
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return 1;
}

}  // namespace

int RunLocalJob(const std::string& job_directory) {
  LocalJobDirectory directory(job_directory);
  if (const Status status = directory.CheckInheritedLock(kInheritedLock); !status.ok()) {
    return Complain(status);
  }
  fcntl(kInheritedLock, F_SETFD, FD_CLOEXEC);
  Result<LocalJob> job = directory.ReadJob();
  if (!job.ok()) return Complain(job.status());
  // The adapter waits for this process; the copy is no child of the daemon's and leaves it no
  // zombie.
  const pid_t copy = fork();
  if (copy < 0) return Complain(ErrnoError("fork", errno));
  if (copy > 0) return 0;
  const Status status = Supervisor(std::move(directory), *std::move(job)).Run();
  return status.ok() ? 0 : Complain(status);
}

}  // namespace tributary::scheduler_adapters

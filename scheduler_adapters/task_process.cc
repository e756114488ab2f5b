#include "scheduler_adapters/task_process.h"

#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "scheduler_adapters/job_process.h"

namespace tributary::scheduler_adapters {
namespace {

// The task's own variables are among them: a pilot is submitted with those of its tasks, and what
// the site's shell lines made of them since counts.
std::map<std::string, std::string> OwnEnvironment() {
  std::map<std::string, std::string> variables;
  for (char** at = environ; *at != nullptr; ++at) {
    const std::string_view entry = *at;
    const std::size_t equals = entry.find('=');
    if (equals != std::string_view::npos) {
      variables.emplace(entry.substr(0, equals), entry.substr(equals + 1));
    }
  }
  return variables;
}

// What left the task's group too: adopted children, and theirs as they are adopted.
void EndLeftovers(pid_t group) {
  kill(-group, SIGKILL);
  while (KillChildren()) {
    if (waitpid(-1, nullptr, 0) < 0 && errno != EINTR) return;
  }
}

}  // namespace

Result<TaskProcess> TaskProcess::Start(const JobSpec& spec, std::chrono::seconds grace) {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) {
    return ErrnoError("sched_getaffinity", errno);
  }
  JobSpec runnable = spec;
  runnable.environment = OwnEnvironment();
  for (const auto& [name, value] : spec.environment) runnable.environment.try_emplace(name, value);
  TRIBUTARY_ASSIGN_OR_RETURN(const pid_t pid, StartJobProcess(runnable, allowed));
  return TaskProcess(spec, grace, pid);
}

TaskProcess::TaskProcess(const JobSpec& spec, std::chrono::seconds grace, pid_t pid)
    : grace_(grace),
      walltime_(spec.walltime),
      warning_before_(spec.warning_before),
      warning_signal_(spec.warning_signal),
      pid_(pid) {
  if (walltime_.count() == 0) return;
  end_at_ = Steady::now() + walltime_;
  if (warning_before_.count() > 0) warn_at_ = *end_at_ - warning_before_;
}

void TaskProcess::Signal(int number) const { kill(-pid_, number); }

void TaskProcess::Cancel() {
  if (cancelled_) return;
  cancelled_ = true;
  kill_at_ = Steady::now() + grace_;
  Signal(SIGTERM);
}

void TaskProcess::Interrupt() {
  if (interrupted_ || cancelled_) return;
  interrupted_ = true;
  kill_at_ = Steady::now() + std::max(grace_, warning_before_);
  Signal(warning_signal_);
}

std::optional<TaskExit> TaskProcess::Step() {
  std::optional<int> ended;
  int status = 0;
  for (pid_t pid = waitpid(-1, &status, WNOHANG); pid > 0; pid = waitpid(-1, &status, WNOHANG)) {
    if (pid == pid_) ended = status;
  }
  if (!ended) {
    SendDue();
    return std::nullopt;
  }
  EndLeftovers(pid_);
  return Verdict(*ended);
}

void TaskProcess::SendDue() {
  const auto now = Steady::now();
  if (warn_at_ && now >= *warn_at_) {
    warn_at_.reset();
    warned_ = true;
    Signal(warning_signal_);
  }
  if (end_at_ && now >= *end_at_) {
    end_at_.reset();
    timed_out_ = true;
    Signal(SIGKILL);
  }
  if (kill_at_ && now >= *kill_at_) {
    kill_at_.reset();
    Signal(SIGKILL);
  }
}

std::chrono::milliseconds TaskProcess::UntilDue(std::chrono::milliseconds at_most) const {
  auto due = Steady::now() + at_most;
  for (const auto& deadline : {warn_at_, end_at_, kill_at_}) {
    if (deadline) due = std::min(due, *deadline);
  }
  return std::max(std::chrono::milliseconds(0),
                  std::chrono::ceil<std::chrono::milliseconds>(due - Steady::now()));
}

TaskExit TaskProcess::Verdict(int wait_status) const {
  const int signal_number = WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : 0;
  TaskExit exit;
  exit.exit_code = signal_number != 0 ? 128 + signal_number : WEXITSTATUS(wait_status);
  const std::string how = signal_number != 0 ? "ended by signal " + std::to_string(signal_number) +
                                                   " (" + strsignal(signal_number) + ")"
                                             : "exit code " + std::to_string(exit.exit_code);
  if (cancelled_) {
    exit.state = JobState::kCancelled;
    exit.message = "cancelled; " + how;
  } else if (timed_out_ || (warned_ && signal_number == warning_signal_)) {
    exit.state = JobState::kTimedOut;
    exit.message = "its walltime of " + std::to_string(walltime_.count()) + " s ended; " + how;
  } else if (interrupted_ && exit.exit_code != 0) {
    exit.state = JobState::kPreempted;
    exit.message = "its pilot was told to end; " + how;
  } else if (exit.exit_code != 0) {
    exit.state = JobState::kFailed;
    exit.message = how;
  }
  return exit;
}

}  // namespace tributary::scheduler_adapters

// One command inside a pilot: its walltime, its warning, and its end by request.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>

#include "core/status.h"
#include "scheduler_adapters/scheduler_adapter.h"

namespace tributary::scheduler_adapters {

struct TaskExit {
  JobState state = JobState::kCompleted;
  int exit_code = 0;
  std::string message;
};

// For a process with one thread, that has no other children, reaps orphans (PR_SET_CHILD_SUBREAPER)
// and is woken by SIGCHLD. At most one object at a time.
class TaskProcess {
 public:
  // In a session of its own, on the CPUs of this process; killed when this process dies. `grace`:
  // from SIGTERM to SIGKILL.
  static Result<TaskProcess> Start(const JobSpec& spec, std::chrono::seconds grace);

  // Sends what is due. The task's end, once, when nothing of it runs any more.
  std::optional<TaskExit> Step();
  // Until Step() has something to send; `at_most` when there is nothing.
  std::chrono::milliseconds UntilDue(std::chrono::milliseconds at_most) const;

  void Cancel();  // SIGTERM, SIGKILL after the grace
  // This process must go: the warning signal, and SIGKILL after as long as a warning leaves.
  void Interrupt();

 private:
  using Steady = std::chrono::steady_clock;

  TaskProcess(const JobSpec& spec, std::chrono::seconds grace, pid_t pid);
  void Signal(int number) const;
  void SendDue();
  TaskExit Verdict(int wait_status) const;

  std::chrono::seconds grace_, walltime_, warning_before_;
  int warning_signal_;
  pid_t pid_;  // of its first process, its session and its group
  std::optional<Steady::time_point> warn_at_, end_at_, kill_at_;
  bool warned_ = false, timed_out_ = false, cancelled_ = false, interrupted_ = false;
};

}  // namespace tributary::scheduler_adapters

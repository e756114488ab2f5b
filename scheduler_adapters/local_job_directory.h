// What LocalSchedulerAdapter and its supervisors tell each other, as files in one directory for
// each job:
//
//   spec.json       what to run; written before the supervisor is started
//   lock            locked by the supervisor as long as it lives (an open-file-description lock,
//   handed to it by the
//                   adapter, so that there is no moment in between); holds its process id
//   started         made at most once, before the job's process: a job that has it is never started
//   again cancel          asks the supervisor to end the job, or not to start it exit.json how the
//   job ended; written last, atomically supervisor.log  what the supervisor had to complain about
//
// A job with `started`, without exit.json and with its lock free has lost its supervisor: to kill
// -9, or to a reboot.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>

#include "core/clock.h"
#include "core/files.h"
#include "core/status.h"
#include "scheduler_adapters/scheduler_adapter.h"

namespace tributary::scheduler_adapters {

// The descriptor under which the supervisor inherits the locked file.
inline constexpr int kInheritedLock = 3;

struct LocalJob {
  JobSpec spec;
  std::chrono::seconds cancel_grace{10};
  Timestamp submitted;

  std::string ToJson() const;
  static Result<LocalJob> FromJson(std::string_view text);
};

struct LocalStart {
  Timestamp submitted, started;
};

struct LocalExit {
  JobState state = JobState::kFailed;
  std::optional<int> exit_code;
  Timestamp submitted, ended;
  std::optional<Timestamp> started;  // absent: cancelled before it started
  std::string message;
};

// One job's directory. Holds nothing but the path; any thread.
class LocalJobDirectory {
 public:
  explicit LocalJobDirectory(std::string path) : path_(std::move(path)) {}

  const std::string& path() const { return path_; }
  std::string LogPath() const { return path_ + "/supervisor.log"; }

  bool IsSubmitted() const;        // spec.json is there
  bool IsStarted() const;          // `started` is there
  bool IsCancelRequested() const;  // `cancel` is there
  bool HasEnded() const;           // exit.json is there

  Status WriteJob(const LocalJob& job) const;
  Result<LocalJob> ReadJob() const;
  // kAlreadyExists when the job was started before.
  Status MarkStarted(const LocalStart& start) const;
  Result<LocalStart> ReadStart() const;
  Status RequestCancel() const;
  Status WriteExit(const LocalExit& exit) const;
  Result<LocalExit> ReadExit() const;

  // The lock file, locked, with no process id in it; nothing when a supervisor has it.
  Result<std::optional<FileDescriptor>> TakeLock() const;
  // Whether `fd` is this job's lock file, locked.
  Status CheckInheritedLock(int fd) const;
  bool IsLocked() const;
  static Status WriteSupervisor(int lock_fd, pid_t pid);
  std::optional<pid_t> ReadSupervisor() const;  // only meaningful while IsLocked()

 private:
  std::string File(std::string_view name) const { return JoinPath(path_, name); }

  std::string path_;
};

}  // namespace tributary::scheduler_adapters

// A program that this one runs beside itself: output into a log file, ended with its parent.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "core/status.h"

namespace tributary {

// One thread at a time. The child gets SIGTERM when its parent dies.
class ChildProcess {
 public:
  // `command[0]` is a path, or found by PATH. Standard error is appended to `log_path`, and
  // standard output to `output_path`, or where that is empty to the log too.
  static Result<ChildProcess> Start(const std::vector<std::string>& command,
                                    const std::string& log_path,
                                    const std::string& output_path = "");
  ~ChildProcess();  // Stop()
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&& other) noexcept;

  // The exit code (128 + signal when killed) once it has ended.
  std::optional<int> Poll();
  void Signal(int number);  // nothing once it has ended
  // Waits for the end; SIGKILL after the grace.
  void Await(std::chrono::seconds grace);
  // SIGTERM, and Await().
  void Stop(std::chrono::seconds grace = std::chrono::seconds(15));
  pid_t pid() const { return pid_; }

 private:
  ChildProcess() = default;
  pid_t pid_ = -1;
  std::optional<int> exit_code_;
};

// The running program's own file, and its directory: its siblings are there. "" and "." where
// /proc does not tell.
std::string ProgramPath();
std::string ProgramDirectory();

}  // namespace tributary

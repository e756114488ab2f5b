#include "scheduler_adapters/command_runner.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <thread>

#include "core/files.h"
#include "core/text.h"
#include "scheduler_adapters/job_process.h"
#include "scheduler_adapters/scheduler_adapter.h"

namespace tributary::scheduler_adapters {
namespace {

using SteadyTime = std::chrono::steady_clock::time_point;

constexpr std::size_t kMaxErrors = std::size_t{64} << 10;
constexpr std::size_t kSummaryBytes = 400;
constexpr int kLostExit = -1;
// A daemon that is told to end has a few seconds, whatever hangs. A command gets some of them: what
// it answers need not be asked again.
constexpr std::chrono::milliseconds kStopGrace{1500};
constexpr std::chrono::milliseconds kStopLook{100};

// What would change an output's form or a submission's meaning behind our back.
bool IsMisleading(std::string_view variable) {
  for (const std::string_view prefix :
       {"SBATCH_", "SQUEUE_", "SACCT_", "SCANCEL_", "SINFO_", "SLURM_JOB", "SLURM_TIME_FORMAT=",
        "SLURM_EXIT_", "PBS_JOB", "PBS_DPREFIX=", "QSTAT_", "TZ=", "LC_", "LANG=", "LANGUAGE="}) {
    if (variable.starts_with(prefix)) return true;
  }
  return false;
}

std::vector<std::string> ChildEnvironment() {
  std::vector<std::string> variables = {"TZ=UTC", "LC_ALL=C"};
  for (char** variable = environ; *variable != nullptr; ++variable) {
    if (!IsMisleading(*variable)) variables.emplace_back(*variable);
  }
  return variables;
}

std::vector<char*> Pointers(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (const std::string& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

struct Pipe {
  FileDescriptor read, write;
};

Result<Pipe> MakePipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return ErrnoError("pipe", errno);
  return Pipe{FileDescriptor(ends[0]), FileDescriptor(ends[1])};
}

// Starts the command as the leader of a process group of its own.
Result<pid_t> Spawn(const std::vector<std::string>& command, int out, int err) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out, 1);
  posix_spawn_file_actions_adddup2(&actions, err, 2);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(
      &attributes,
      static_cast<short>(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF));
  const std::vector<std::string> environment = ChildEnvironment();
  pid_t pid = 0;
  const int error = posix_spawnp(&pid, command[0].c_str(), &actions, &attributes,
                                 Pointers(command).data(), Pointers(environment).data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) return ErrnoError("run " + command[0], error);
  return pid;
}

// When a command has to end: at its time limit, or soon after the program was told to.
class Deadline {
 public:
  Deadline(SteadyTime end, const StopFlag& stop) : end_(end), stop_(stop) {}

  bool Passed() {
    const SteadyTime now = std::chrono::steady_clock::now();
    if (stop_ && *stop_ && !stopping_) {
      stopping_ = true;
      end_ = std::min(end_, now + kStopGrace);
    }
    return now >= end_;
  }
  // To wait for at most, before it is asked again.
  int Milliseconds() const {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(end_ - std::chrono::steady_clock::now());
    const std::int64_t most = stop_ ? kStopLook.count() : 1'000'000;
    return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, most));
  }

 private:
  SteadyTime end_;
  const StopFlag& stop_;
  bool stopping_ = false;
};

// Reads both pipes until they are closed. False at the deadline.
template <typename Hear>
bool ReadBoth(const FileDescriptor& out, const FileDescriptor& err, Deadline* end, Hear hear) {
  std::vector<char> buffer(std::size_t{64} << 10);
  std::array<pollfd, 2> pipes = {pollfd{out.get(), POLLIN, 0}, pollfd{err.get(), POLLIN, 0}};
  while (pipes[0].fd >= 0 || pipes[1].fd >= 0) {
    if (end->Passed()) return false;
    const int ready = poll(pipes.data(), pipes.size(), end->Milliseconds());
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return false;
    for (std::size_t i = 0; i < pipes.size(); ++i) {
      if (pipes[i].fd < 0 || pipes[i].revents == 0) continue;
      const ssize_t got = read(pipes[i].fd, buffer.data(), buffer.size());
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) {
        pipes[i].fd = -1;
      } else {
        hear(i == 1, std::string_view(buffer.data(), static_cast<std::size_t>(got)));
      }
    }
  }
  return true;
}

// Waits for the leader; kills the whole group at the deadline.
int Reap(pid_t pid, bool whole_tree, Deadline* end, bool* timed_out) {
  int status = 0;
  while (!*timed_out) {
    const pid_t reaped = waitpid(pid, &status, WNOHANG);
    if (reaped < 0 && errno == EINTR) continue;
    // The kernel reaped it (SIGCHLD is ignored): how it ended is lost, so it did not succeed.
    if (reaped < 0) return kLostExit;
    if (reaped > 0) break;
    if (end->Passed()) {
      *timed_out = true;
    } else {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  if (*timed_out) {
    if (whole_tree) KillTree(pid);
    kill(-pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

bool IsSet(const StopFlag& stop) { return stop && *stop; }

}  // namespace

std::string CommandResult::Summary() const {
  std::string text =
      timed_out ? "no answer within the time limit" : "exit status " + std::to_string(exit_status);
  std::string said = err.empty() ? out : err;
  while (!said.empty() && said.back() == '\n') said.pop_back();
  if (!said.empty()) {
    const std::size_t kept = std::min(said.size(), kSummaryBytes);
    text += ": " + Excerpt(std::string_view(said).substr(said.size() - kept), kSummaryBytes);
  }
  return text;
}

Result<CommandResult> CommandRunner::Run(const std::vector<std::string>& command,
                                         const Sink& sink) {
  const SteadyTime next = last_start_ + options_.interval;
  while (!IsSet(options_.stop) && std::chrono::steady_clock::now() < next) {
    std::this_thread::sleep_until(std::min(next, std::chrono::steady_clock::now() + kStopLook));
  }
  if (IsSet(options_.stop)) return UnavailableError("not asked: this program ends");
  last_start_ = std::chrono::steady_clock::now();
  std::vector<std::string> whole = options_.prefix;
  whole.insert(whole.end(), command.begin(), command.end());
  if (!options_.directory.empty()) {
    whole[options_.prefix.size()] = JoinPath(options_.directory, command[0]);
  }
  TRIBUTARY_ASSIGN_OR_RETURN(Pipe out, MakePipe());
  TRIBUTARY_ASSIGN_OR_RETURN(Pipe err, MakePipe());
  TRIBUTARY_ASSIGN_OR_RETURN(const pid_t pid, Spawn(whole, out.write.get(), err.write.get()));
  out.write.Reset();
  err.write.Reset();

  CommandResult result;
  Deadline end(last_start_ + options_.timeout, options_.stop);
  const auto hear = [&](bool is_error, std::string_view piece) {
    if (is_error) {
      result.err.append(piece);
      if (result.err.size() > kMaxErrors) result.err.erase(0, result.err.size() - kMaxErrors);
    } else if (sink) {
      sink(piece);
    } else {
      const std::size_t room = options_.max_output - result.out.size();
      result.truncated = result.truncated || piece.size() > room;
      result.out.append(piece.substr(0, room));
    }
  };
  result.timed_out = !ReadBoth(out.read, err.read, &end, hear);
  result.exit_status = Reap(pid, options_.whole_tree, &end, &result.timed_out);
  return result;
}

CommandRunnerOptions RunnerOptions(const SchedulerOptions& options) {
  CommandRunnerOptions runner;
  runner.prefix = options.command_prefix;
  runner.directory = options.command_directory;
  runner.timeout = options.command_timeout;
  runner.interval = options.command_interval;
  runner.stop = options.stop;
  return runner;
}

}  // namespace tributary::scheduler_adapters

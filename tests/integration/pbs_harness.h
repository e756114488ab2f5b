// A PBS for tests: the stand-in of pbs_stand_in.py in a directory of its own, or the one that is
// installed here.
#pragma once

#include <poll.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/files.h"
#include "scheduler_adapters/batch_adapter.h"
#include "scheduler_adapters/batch_system.h"
#include "scheduler_adapters/command_runner.h"

namespace tributary::scheduler_adapters {

// The machine's time, which a test may set forward. One thread at a time.
class ShiftedClock final : public Clock {
 public:
  Timestamp Now() const override { return system_.Now() + shift_; }
  std::chrono::microseconds Elapsed() const override { return system_.Elapsed() + shift_; }
  void Advance(std::chrono::seconds by) { shift_ += by; }

 private:
  SystemClock system_;
  std::chrono::seconds shift_{0};
};

class PbsStandIn {
 public:
  PbsStandIn() {
    const std::string bin = BinDirectory();
    if (!MakeDirectories(bin).ok()) std::abort();
    for (const char* name : {"qsub", "qstat", "qdel", "qselect", "pbsnodes", "pbs_mom"}) {
      if (symlink(TRIBUTARY_PBS_STAND_IN, JoinPath(bin, name).c_str()) != 0) std::abort();
    }
    Control("{}");
  }
  // No job outlives its test.
  ~PbsStandIn() {
    Control("{}");
    const std::vector<std::string> ids = Run({"qselect"});
    for (const std::string& id : ids) Run({"qdel", id});
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!Run({"qselect"}).empty() && std::chrono::steady_clock::now() < give_up) {
      poll(nullptr, 0, 20);
    }
  }

  std::string BinDirectory() const { return directory_.path() + "/bin"; }
  // What goes wrong from now on; see pbs_stand_in.py.
  void Control(const std::string& json) {
    if (!WriteFileAtomic(directory_.path() + "/control.json", json).ok()) std::abort();
  }
  // The lines that a command of PBS prints when somebody else runs it.
  std::vector<std::string> Run(const std::vector<std::string>& command) {
    CommandRunner runner({.directory = BinDirectory()});
    const auto result = runner.Run(command);
    return result.ok() ? Lines(result->out) : std::vector<std::string>();
  }
  // The commands that were run since the last call.
  std::vector<std::string> Calls() {
    const std::string path = directory_.path() + "/calls";
    const auto text = ReadFile(path);
    (void)RemoveFile(path);
    return text.ok() ? Lines(*text) : std::vector<std::string>();
  }
  bool HasCrashed() const { return PathExists(directory_.path() + "/crashed"); }

 private:
  static std::vector<std::string> Lines(std::string text) {
    std::vector<std::string> lines;
    for (std::size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n')) {
      lines.push_back(text.substr(0, end));
      text.erase(0, end + 1);
    }
    return lines;
  }

  TemporaryDirectory directory_ = *TemporaryDirectory::Create("pbs");
};

// A harness of the scheduler contract over any PBS.
class PbsHarness {
 public:
  explicit PbsHarness(SchedulerOptions options) : options_(std::move(options)) {
    options_.state_directory = directory_.path() + "/state";
    Restart();
  }

  SchedulerAdapter& adapter() { return *adapter_; }
  void Restart() {
    adapter_.reset();
    adapter_ = *BatchAdapter::Make(options_, MakePbs(options_), clock_);
  }
  void Wait() { poll(nullptr, 0, 50); }
  void Advance(std::chrono::seconds by) { clock_.Advance(by); }
  SchedulerOptions& options() { return options_; }

  // A shell script as a job; $1 is a file that is the job's own.
  JobSpec Shell(const std::string& name, const std::string& script) {
    JobSpec spec;
    spec.name = name;
    spec.working_directory = FileOf(name) + ".work";
    (void)MakeDirectories(spec.working_directory);
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
  int Runs(const std::string& name) { return static_cast<int>(Text(name + ".runs").size() / 4); }
  std::string Text(const std::string& file) {
    const auto text = ReadFile(FileOf(file));
    return text.ok() ? *text : "";
  }

 private:
  std::string FileOf(const std::string& name) { return JoinPath(directory_.path(), name); }

  TemporaryDirectory directory_ = *TemporaryDirectory::Create("pbs-jobs");
  ShiftedClock clock_;
  SchedulerOptions options_;
  std::unique_ptr<SchedulerAdapter> adapter_;
};

class PbsStandInHarness : public PbsStandIn, public PbsHarness {
 public:
  PbsStandInHarness() : PbsHarness(Options(BinDirectory())) {}

 private:
  static SchedulerOptions Options(const std::string& commands) {
    SchedulerOptions options;
    options.command_directory = commands;
    options.command_interval = std::chrono::milliseconds(0);
    return options;
  }
};

// The PBS of this machine. TMPDIR must then be on a file system that its nodes share.
class InstalledPbsHarness : public PbsHarness {
 public:
  InstalledPbsHarness() : PbsHarness(SchedulerOptions()) {}

  // Why it cannot be used here; empty: it can.
  static std::string WhyNot() {
    const auto version = MakePbs(SchedulerOptions())->Version();
    return version.ok() ? "" : "no PBS is installed here: " + version.status().message();
  }
};

}  // namespace tributary::scheduler_adapters

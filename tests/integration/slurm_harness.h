// Jobs of a real cluster through the adapter, for the contract and the tests of Slurm's faults.
#pragma once

#include <gtest/gtest.h>

#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/files.h"
#include "scheduler_adapters/batch_adapter.h"
#include "scheduler_adapters/batch_system.h"
#include "tests/integration/slurm_cluster.h"

namespace tributary::integration {

class SlurmHarness {
 public:
  explicit SlurmHarness(const SlurmCluster& cluster) : cluster_(cluster) {
    options_.state_directory = JoinPath(directory_.path(), "state");
    options_.command_interval = std::chrono::milliseconds(0);
    options_.command_timeout = std::chrono::seconds(20);
    Restart();
  }
  // No job outlives its test.
  ~SlurmHarness() {
    const auto live = adapter_->ListLive("");
    if (!live.ok()) return;
    for (const auto& job : *live) (void)cluster_.Command({"scancel", job.id});
  }
  SlurmHarness(const SlurmHarness&) = delete;
  SlurmHarness& operator=(const SlurmHarness&) = delete;

  scheduler_adapters::SchedulerAdapter& adapter() { return *adapter_; }
  scheduler_adapters::SchedulerOptions& options() { return options_; }
  void Restart() {
    adapter_.reset();  // its book is open once
    adapter_ = *scheduler_adapters::BatchAdapter::Make(
        options_, scheduler_adapters::MakeSlurm(options_), clock_);
  }
  std::string directory() const { return directory_.path(); }

  // A shell script as a job; $1 is a file that is the job's own.
  scheduler_adapters::JobSpec Shell(const std::string& name, const std::string& script) {
    scheduler_adapters::JobSpec spec;
    spec.name = name;
    spec.working_directory = FileOf(name) + ".work";
    (void)MakeDirectories(spec.working_directory);
    spec.command = {"/bin/sh", "-c", "echo run >> \"$1.runs\"; " + script, "sh", FileOf(name)};
    spec.environment = {{"PATH", "/usr/bin:/bin"}};
    spec.stdout_path = FileOf(name) + ".out";
    spec.stderr_path = FileOf(name) + ".err";
    return spec;
  }
  scheduler_adapters::JobSpec Exiting(const std::string& name, int code) {
    return Shell(name, "exit " + std::to_string(code));
  }
  scheduler_adapters::JobSpec Endless(const std::string& name) {
    return Shell(name, "exec sleep 1000");
  }
  // Ends, with 0, when its gate is opened.
  scheduler_adapters::JobSpec Gated(const std::string& name) {
    return Shell(name, "while [ ! -e \"$1.gate\" ]; do sleep 0.1; done");
  }
  void OpenGate(const std::string& name) { (void)WriteFileAtomic(FileOf(name) + ".gate", ""); }

  std::string FileOf(const std::string& name) const { return JoinPath(directory_.path(), name); }
  std::string Text(const std::string& path) const {
    const auto text = ReadFile(path);
    return text.ok() ? *text : "";
  }
  int Runs(const std::string& name) const {
    return static_cast<int>(Text(FileOf(name) + ".runs").size() / 4);
  }

 private:
  const SlurmCluster& cluster_;
  TemporaryDirectory directory_ = *TemporaryDirectory::Create("slurm-jobs-");
  SystemClock clock_;
  scheduler_adapters::SchedulerOptions options_;
  std::unique_ptr<scheduler_adapters::SchedulerAdapter> adapter_;
};

// What `main` of a test program over a cluster does.
inline int RunTestsOrSkip(int argc, char** argv, bool accounting) {
  testing::InitGoogleTest(&argc, argv);
  const std::string missing = SlurmCluster::MissingPrograms(accounting);
  if (missing.empty()) return RUN_ALL_TESTS();
  std::cout << "skipped: a Slurm cluster needs " << missing << " (deploy/install-deps.sh --dev)\n";
  return kSkipped;
}

}  // namespace tributary::integration

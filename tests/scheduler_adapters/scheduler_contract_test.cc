#include "tests/contract/scheduler_contract.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>

#include "scheduler_adapters/fake_adapter.h"
#include "tests/scheduler_adapters/local_harness.h"

namespace tributary::scheduler_adapters {
namespace {

class FakeHarness {
 public:
  SchedulerAdapter& adapter() { return *adapter_; }
  void Restart() { adapter_ = std::make_unique<FakeSchedulerAdapter>(cluster_); }
  void Wait() { clock_.Advance(std::chrono::milliseconds(500)); }

  JobSpec Exiting(const std::string& name, int code) {
    FakeJobPlan plan;
    plan.queue_time = std::chrono::seconds(1);
    plan.run_time = std::chrono::seconds(2);
    plan.run = [this, code](const JobSpec& spec) {
      ++runs_[spec.name];
      return code;
    };
    return Planned(name, plan);
  }
  JobSpec Endless(const std::string& name) {
    return Planned(name, {.run_time = std::chrono::hours(1000)});
  }
  int Runs(const std::string& name) { return runs_[name]; }

 private:
  JobSpec Planned(const std::string& name, const FakeJobPlan& plan) {
    plans_[name] = plan;
    JobSpec spec;
    spec.name = name;
    spec.working_directory = spec.stdout_path = spec.stderr_path = "/tmp";
    spec.command = {"/bin/true"};
    return spec;
  }

  FakeClock clock_{TimestampFromMicros(1'000'000'000)};
  std::map<std::string, FakeJobPlan> plans_;
  std::map<std::string, int> runs_;
  FakeCluster cluster_{clock_, [this](const JobSpec& spec) { return plans_[spec.name]; }};
  std::unique_ptr<SchedulerAdapter> adapter_ = std::make_unique<FakeSchedulerAdapter>(cluster_);
};

INSTANTIATE_TYPED_TEST_SUITE_P(Fake, SchedulerContract, FakeHarness);
INSTANTIATE_TYPED_TEST_SUITE_P(Local, SchedulerContract, LocalHarness);

}  // namespace
}  // namespace tributary::scheduler_adapters

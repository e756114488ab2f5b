#include "client/job_monitor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <mutex>

#include "scheduler_adapters/fake_adapter.h"

namespace tributary::client {
namespace {

using scheduler_adapters::FakeCluster;
using scheduler_adapters::FakeJobPlan;
using scheduler_adapters::FakeSchedulerAdapter;
using scheduler_adapters::JobSpec;
using scheduler_adapters::JobState;
using scheduler_adapters::JobStatus;
using scheduler_adapters::SchedulerAdapter;

// Serialises with the poller's thread what a test changes at the cluster.
class LockedAdapter final : public SchedulerAdapter {
 public:
  LockedAdapter(FakeCluster& cluster, Mutex& mutex) : adapter_(cluster), mutex_(mutex) {}
  Result<std::string> Submit(const JobSpec& spec) override {
    MutexLock lock(mutex_);
    return adapter_.Submit(spec);
  }
  std::vector<JobStatus> Query(std::span<const std::string> ids) override {
    MutexLock lock(mutex_);
    return adapter_.Query(ids);
  }
  Status Cancel(const std::string& id) override {
    MutexLock lock(mutex_);
    return adapter_.Cancel(id);
  }
  Result<std::optional<Timestamp>> Estimate(
      const scheduler_adapters::EstimateTarget& target) override {
    MutexLock lock(mutex_);
    return adapter_.Estimate(target);
  }
  Result<std::optional<std::string>> Find(std::string_view name) override {
    MutexLock lock(mutex_);
    return adapter_.Find(name);
  }
  Result<std::vector<scheduler_adapters::NamedJob>> ListLive(std::string_view prefix) override {
    MutexLock lock(mutex_);
    return adapter_.ListLive(prefix);
  }
  Status ForgetEnded(const std::function<bool(std::string_view)>& unwanted) override {
    MutexLock lock(mutex_);
    return adapter_.ForgetEnded(unwanted);
  }
  Status CheckAccepted(const JobSpec& spec) override { return adapter_.CheckAccepted(spec); }
  std::string Render(const JobSpec& spec) const override { return adapter_.Render(spec); }
  Result<std::string> Version() override { return adapter_.Version(); }

 private:
  FakeSchedulerAdapter adapter_;
  Mutex& mutex_;
};

class JobMonitorTest : public testing::Test {
 protected:
  static JobSpec Spec(const std::string& name) {
    JobSpec spec;
    spec.name = name;
    spec.working_directory = "/";
    spec.command = {"/bin/true"};
    spec.stdout_path = spec.stderr_path = "/dev/null";
    return spec;
  }
  static FakeJobPlan Plan(const JobSpec& spec) {
    FakeJobPlan plan;
    plan.queue_time = std::chrono::seconds(10);
    plan.run_time = std::chrono::seconds(10);
    if (spec.name == "bad") plan.exit_code = 3;
    return plan;
  }
  std::string Submit(const std::string& name) {
    const auto id = monitor_.Submit(Spec(name));
    EXPECT_TRUE(id.ok()) << id.status();
    return id.ok() ? *id : "";
  }
  std::future<std::optional<JobStatus>> Await(const std::string& id) {
    return std::async(std::launch::async, [this, id] {
      return monitor_.AwaitEnd(
          id, [] { return true; }, [this](const JobStatus& status) { Heard(status.state); });
    });
  }
  void Heard(JobState state) {
    MutexLock lock(heard_mutex_);
    heard_.push_back(state);
    changed_.NotifyAll();
  }
  void AwaitState(JobState state) {
    MutexLock lock(heard_mutex_);
    while (heard_.empty() || heard_.back() != state) changed_.Wait(heard_mutex_);
  }
  void SetOutage(Status outage) {
    MutexLock lock(cluster_mutex_);
    cluster_.SetOutage(std::move(outage));
  }

  Mutex heard_mutex_;
  CondVar changed_;
  std::vector<JobState> heard_ TRIBUTARY_GUARDED_BY(heard_mutex_);
  FakeClock clock_;
  Mutex cluster_mutex_;
  FakeCluster cluster_{clock_, Plan};
  JobMonitor monitor_{std::make_unique<LockedAdapter>(cluster_, cluster_mutex_),
                      std::chrono::milliseconds(1)};
};

TEST_F(JobMonitorTest, ReportsQueuedRunningAndTheEnd) {
  auto end = Await(Submit("good"));
  AwaitState(JobState::kQueued);
  clock_.Advance(std::chrono::seconds(10));
  AwaitState(JobState::kRunning);
  clock_.Advance(std::chrono::seconds(10));
  const auto status = end.get();
  ASSERT_TRUE(status);
  EXPECT_EQ(status->state, JobState::kCompleted);
  EXPECT_EQ(status->exit_code, 0);
  EXPECT_EQ(*status->started - *status->submitted, std::chrono::seconds(10));
}

TEST_F(JobMonitorTest, AFailedJobEndsToo) {
  auto end = Await(Submit("bad"));
  clock_.Advance(std::chrono::seconds(20));
  const auto status = end.get();
  ASSERT_TRUE(status);
  EXPECT_EQ(status->state, JobState::kFailed);
  EXPECT_EQ(status->exit_code, 3);
}

TEST_F(JobMonitorTest, ASchedulerThatIsDownSaysNothingAboutTheJob) {
  const std::string id = Submit("good");
  SetOutage(UnavailableError("maintenance"));
  EXPECT_EQ(monitor_.Submit(Spec("other")).status().code(), StatusCode::kUnavailable);
  auto end = Await(id);
  AwaitState(JobState::kUnknown);
  clock_.Advance(std::chrono::seconds(20));
  SetOutage(OkStatus());
  EXPECT_EQ(end.get()->state, JobState::kCompleted);
}

TEST_F(JobMonitorTest, WaitsForManyJobsAtOnce) {
  std::vector<std::future<std::optional<JobStatus>>> ends;
  for (const char* name : {"a", "b", "bad"}) ends.push_back(Await(Submit(name)));
  clock_.Advance(std::chrono::seconds(20));
  EXPECT_EQ(ends[0].get()->state, JobState::kCompleted);
  EXPECT_EQ(ends[1].get()->state, JobState::kCompleted);
  EXPECT_EQ(ends[2].get()->state, JobState::kFailed);
}

TEST_F(JobMonitorTest, FindsCancelsAndSubmitsOnce) {
  EXPECT_EQ(*monitor_.Find("good"), std::nullopt);
  const std::string id = Submit("good");
  EXPECT_EQ(Submit("good"), id);
  EXPECT_EQ(**monitor_.Find("good"), id);
  auto end = Await(id);
  ASSERT_TRUE(monitor_.Cancel(id).ok());
  EXPECT_EQ(end.get()->state, JobState::kCancelled);
  EXPECT_EQ(monitor_.Cancel("nonsense").code(), StatusCode::kNotFound);
  EXPECT_EQ(cluster_.submissions(), 1);
}

TEST_F(JobMonitorTest, AWaiterThatDoesNotWantToWaitGoes) {
  const std::string id = Submit("good");
  std::atomic<bool> wanted = true;
  auto end = std::async(std::launch::async, [&] {
    return monitor_.AwaitEnd(
        id, [&] { return wanted.load(); }, [&](const JobStatus& s) { Heard(s.state); });
  });
  AwaitState(JobState::kQueued);
  wanted = false;
  monitor_.Wake();
  EXPECT_FALSE(end.get());
}

TEST_F(JobMonitorTest, StoppingEndsEveryWait) {
  auto one = Await(Submit("a"));
  auto two = Await(Submit("b"));
  AwaitState(JobState::kQueued);
  monitor_.Stop();
  EXPECT_FALSE(one.get());
  EXPECT_FALSE(two.get());
  EXPECT_FALSE(monitor_.AwaitEnd(
      "a", [] { return true; }, [](const JobStatus&) {}));
}

TEST(JobMonitorWakeTest, WakeReachesAWaiterBetweenPolls) {
  FakeClock clock;
  FakeCluster cluster(clock, [](const JobSpec&) {
    FakeJobPlan plan;
    plan.queue_time = std::chrono::hours(1);
    return plan;
  });
  JobMonitor monitor(std::make_unique<FakeSchedulerAdapter>(cluster), std::chrono::hours(1));
  std::promise<void> polled;
  std::once_flag first;
  std::atomic<bool> wanted = true;
  auto end = std::async(std::launch::async, [&] {
    return monitor.AwaitEnd(
        "fake-1", [&] { return wanted.load(); },
        [&](const JobStatus&) { std::call_once(first, [&] { polled.set_value(); }); });
  });
  polled.get_future().wait();
  wanted = false;
  monitor.Wake();
  EXPECT_FALSE(end.get());
}

}  // namespace
}  // namespace tributary::client

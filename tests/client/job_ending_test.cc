#include "client/job_ending.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/clock.h"
#include "scheduler_adapters/fake_adapter.h"

namespace tributary::client {
namespace {

using namespace std::chrono_literals;
using scheduler_adapters::FakeCluster;
using scheduler_adapters::FakeJobPlan;
using scheduler_adapters::FakeSchedulerAdapter;
using scheduler_adapters::JobSpec;
using scheduler_adapters::JobState;
using testing::HasSubstr;

class JobEndingTest : public testing::Test {
 protected:
  std::string Submit(const std::string& name) {
    JobSpec spec;
    spec.name = name;
    spec.working_directory = spec.stdout_path = spec.stderr_path = "/";
    spec.command = {"/bin/true"};
    auto id = adapter_.Submit(spec);
    EXPECT_TRUE(id.ok()) << id.status();
    return id.ok() ? *id : "";
  }
  JobState StateOf(const std::string& id) {
    return adapter_.Query(std::vector<std::string>{id}).front().state;
  }

  FakeClock clock_{TimestampFromMicros(0)};
  FakeCluster cluster_{clock_, [](const JobSpec&) { return FakeJobPlan{.run_time = 1h}; }};
  FakeSchedulerAdapter adapter_{cluster_};
};

TEST_F(JobEndingTest, EndsItsOwnJobsAndNoOthers) {
  const std::string one = Submit("trib-1.a");
  const std::string two = Submit("trib-1.b");
  const std::string other = Submit("trib-2.a");
  EXPECT_TRUE(EndJobs(adapter_, "trib-1.", [&] {
                clock_.Advance(1s);
                return true;
              }).ok());
  EXPECT_EQ(StateOf(one), JobState::kCancelled);
  EXPECT_EQ(StateOf(two), JobState::kCancelled);
  EXPECT_EQ(StateOf(other), JobState::kRunning);
}

TEST_F(JobEndingTest, AsksASchedulerThatIsDownUntilItAnswers) {
  const std::string id = Submit("trib-1.a");
  cluster_.SetOutage(UnavailableError("down"));
  int pauses = 0;
  EXPECT_TRUE(EndJobs(adapter_, "trib-1.", [&] {
                clock_.Advance(1s);
                if (++pauses == 3) cluster_.SetOutage(OkStatus());
                return true;
              }).ok());
  EXPECT_EQ(StateOf(id), JobState::kCancelled);
}

TEST_F(JobEndingTest, GivingUpNamesWhatMayStillRun) {
  Submit("trib-1.a");
  cluster_.SetOutage(UnavailableError("down"));
  const Status status = EndJobs(adapter_, "trib-1.", [] { return false; });
  EXPECT_THAT(status.message(), HasSubstr("jobs may still run"));
}

}  // namespace
}  // namespace tributary::client

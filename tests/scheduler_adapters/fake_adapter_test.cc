#include "scheduler_adapters/fake_adapter.h"

#include <gtest/gtest.h>

namespace tributary::scheduler_adapters {
namespace {

using std::chrono::seconds;

JobSpec FakeSpec(const std::string& name) {
  JobSpec spec;
  spec.name = name;
  spec.working_directory = spec.stdout_path = spec.stderr_path = "/tmp";
  spec.command = {"/bin/true"};
  return spec;
}

class FakeAdapterTest : public testing::Test {
 protected:
  JobStatus StatusOf(const std::string& id) {
    const std::vector<std::string> ids = {id};
    return adapter_.Query(ids).at(0);
  }

  FakeClock clock_{TimestampFromMicros(0)};
  FakeJobPlan plan_;
  FakeCluster cluster_{clock_, [this](const JobSpec&) { return plan_; }};
  FakeSchedulerAdapter adapter_{cluster_};
};

TEST_F(FakeAdapterTest, TimesFollowTheScript) {
  plan_ = {.queue_time = seconds(10), .run_time = seconds(5)};
  const std::string id = *adapter_.Submit(FakeSpec("a"));
  EXPECT_EQ(StatusOf(id).state, JobState::kQueued);
  EXPECT_EQ(*adapter_.Estimate(id), clock_.Now() + seconds(10));
  clock_.Advance(seconds(10));
  EXPECT_EQ(StatusOf(id).state, JobState::kRunning);
  EXPECT_EQ(*adapter_.Estimate(id), std::nullopt);
  clock_.Advance(seconds(100));
  const JobStatus status = StatusOf(id);
  EXPECT_EQ(status.state, JobState::kCompleted);
  EXPECT_EQ(status.submitted, Timestamp(seconds(0)));
  EXPECT_EQ(status.started, Timestamp(seconds(10)));
  EXPECT_EQ(status.ended, Timestamp(seconds(15)));
}

TEST_F(FakeAdapterTest, EndsOtherThanExitCodesCanBeScripted) {
  for (const JobState state :
       {JobState::kPreempted, JobState::kNodeFailed, JobState::kOutOfMemory}) {
    plan_ = {.exit_code = 1, .end_state = state, .message = "scripted"};
    const JobStatus status =
        StatusOf(*adapter_.Submit(FakeSpec(std::to_string(static_cast<int>(state)))));
    EXPECT_EQ(status.state, state);
    EXPECT_EQ(status.message, "scripted");
  }
}

TEST_F(FakeAdapterTest, TheJobIsAFunctionCalledOnceAfterItsStart) {
  int calls = 0;
  plan_ = {.queue_time = seconds(1), .run = [&](const JobSpec& spec) {
             EXPECT_EQ(spec.name, "f");
             ++calls;
             return 4;
           }};
  const std::string id = *adapter_.Submit(FakeSpec("f"));
  StatusOf(id);
  EXPECT_EQ(calls, 0);
  clock_.Advance(seconds(1));
  EXPECT_EQ(StatusOf(id).exit_code, 4);
  StatusOf(id);
  EXPECT_EQ(calls, 1);
}

TEST_F(FakeAdapterTest, JobCancelledInTheQueueNeverRuns) {
  plan_ = {.queue_time = seconds(1), .run = [](const JobSpec&) {
             ADD_FAILURE() << "it ran";
             return 0;
           }};
  const std::string id = *adapter_.Submit(FakeSpec("c"));
  ASSERT_TRUE(adapter_.Cancel(id).ok());
  clock_.Advance(seconds(5));
  const JobStatus status = StatusOf(id);
  EXPECT_EQ(status.state, JobState::kCancelled);
  EXPECT_EQ(status.started, std::nullopt);
  EXPECT_EQ(status.ended, Timestamp(seconds(0)));
}

TEST_F(FakeAdapterTest, OutageMeansUnknownNotFailed) {
  const std::string id = *adapter_.Submit(FakeSpec("o"));
  cluster_.SetOutage(UnavailableError("the scheduler does not answer"));
  EXPECT_EQ(StatusOf(id).state, JobState::kUnknown);
  EXPECT_EQ(StatusOf(id).message, "unavailable: the scheduler does not answer");
  EXPECT_EQ(adapter_.Submit(FakeSpec("p")).status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(adapter_.Cancel(id).code(), StatusCode::kUnavailable);
  EXPECT_FALSE(adapter_.Find("o").ok());
  cluster_.SetOutage(OkStatus());
  EXPECT_EQ(StatusOf(id).state, JobState::kCompleted);
  EXPECT_EQ(cluster_.submissions(), 1);
}

}  // namespace
}  // namespace tributary::scheduler_adapters

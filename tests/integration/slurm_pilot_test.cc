// Pilots as jobs of a real Slurm cluster: the contract, and Slurm's faults.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <memory>

#include "scheduler_adapters/pilot_adapter.h"
#include "tests/contract/scheduler_contract.h"
#include "tests/integration/slurm_harness.h"

namespace tributary::scheduler_adapters {
namespace {

using integration::SlurmCluster;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::SizeIs;

// One cluster for all cases of this program.
class ClusterOfThisProgram : public testing::Environment {
 public:
  void SetUp() override {
    auto started = SlurmCluster::Start({});
    ASSERT_TRUE(started.ok()) << started.status();
    cluster = *std::move(started);
  }
  void TearDown() override { cluster.reset(); }

  static std::unique_ptr<SlurmCluster> cluster;
};
std::unique_ptr<SlurmCluster> ClusterOfThisProgram::cluster;

class PilotHarness : public integration::SlurmHarness {
 public:
  PilotHarness() : SlurmHarness(*ClusterOfThisProgram::cluster) {
    options_.directory = FileOf("pilots");
    options_.command = {TRIBUTARY_PILOT_MAIN};
    options_.max_pilots = 2;
    options_.poll_interval = std::chrono::milliseconds(50);
    options_.cancel_grace = seconds(2);
    options_.lost_after = seconds(0);
    Restart();
  }
  SchedulerAdapter& adapter() { return *pilots_; }
  PilotOptions& pilot_options() { return options_; }
  void Restart() {
    pilots_.reset();  // the book inside it is open once
    SchedulerOptions slurm = SlurmHarness::options();
    slurm.state_directory = FileOf("pilot-state");
    pilots_ =
        *PilotAdapter::Make(options_, *BatchAdapter::Make(slurm, MakeSlurm(slurm), clock_), clock_);
  }
  void Wait() { poll(nullptr, 0, 100); }
  PilotDirectory pilots() const { return PilotDirectory(options_.directory); }

 private:
  SystemClock clock_;
  PilotOptions options_;
  std::unique_ptr<SchedulerAdapter> pilots_;
};

INSTANTIATE_TYPED_TEST_SUITE_P(PilotOverSlurm, SchedulerContract, PilotHarness);

class SlurmPilotTest : public testing::Test {
 protected:
  SlurmPilotTest() {
    harness_.pilot_options().max_pilots = 1;
    harness_.Restart();
  }
  SlurmCluster& cluster() { return *ClusterOfThisProgram::cluster; }
  std::string Submit(const JobSpec& spec) {
    const auto id = harness_.adapter().Submit(spec);
    EXPECT_TRUE(id.ok()) << id.status();
    return id.ok() ? *id : "";
  }
  JobStatus StatusOf(const std::string& id) {
    const std::vector<std::string> ids = {id};
    return harness_.adapter().Query(ids).at(0);
  }
  JobStatus WaitForEnd(const std::string& id) {
    JobStatus status;
    EXPECT_TRUE(integration::WaitUntil([&] { return IsTerminal((status = StatusOf(id)).state); }))
        << id << " is " << JobStateName(status.state) << " " << status.message;
    return status;
  }
  void WaitForRuns(const std::string& name, int runs) {
    EXPECT_TRUE(integration::WaitUntil([&] {
      StatusOf(name);
      return harness_.Runs(name) == runs;
    }));
  }
  // The scheduler's id of the only pilot.
  std::string PilotJob() {
    const auto names = harness_.pilots().Pilots();
    EXPECT_THAT(*names, SizeIs(1));
    return harness_.pilots().ReadPilot(names->at(0))->id;
  }

  PilotHarness harness_;
};

TEST_F(SlurmPilotTest, OneJobServesManyTasks) {
  for (const std::string name : {"a", "b", "c"}) {
    EXPECT_EQ(WaitForEnd(Submit(harness_.Exiting(name, 0))).state, JobState::kCompleted);
  }
  PilotJob();
}

TEST_F(SlurmPilotTest, TaskOfARequeuedPilotMayGoOnInAnotherAttempt) {
  const std::string lost = Submit(harness_.Endless("lost"));
  WaitForRuns("lost", 1);
  ASSERT_TRUE(cluster().Command({"scontrol", "requeue", PilotJob()}).ok());
  // With its own record, or without when Slurm was faster.
  EXPECT_THAT(WaitForEnd(lost).state, testing::AnyOf(JobState::kPreempted, JobState::kNodeFailed));
  EXPECT_EQ(WaitForEnd(Submit(harness_.Exiting("next", 0))).state, JobState::kCompleted);
  EXPECT_EQ(harness_.Runs("lost"), 1);
}

TEST_F(SlurmPilotTest, PilotThatIsCancelledLetsItsTaskWriteWhatItHas) {
  const std::string id = Submit(harness_.Shell(
      "polite", "trap 'echo partial > \"$1\"; exit 0' TERM; while :; do sleep 0.1; done"));
  WaitForRuns("polite", 1);
  poll(nullptr, 0, 500);  // past the shell's trap
  ASSERT_TRUE(cluster().Command({"scancel", PilotJob()}).ok());
  EXPECT_EQ(WaitForEnd(id).state, JobState::kCompleted);
  EXPECT_EQ(harness_.Text(harness_.FileOf("polite")), "partial\n");
}

TEST_F(SlurmPilotTest, KilledNodeLosesTheTaskAndAnotherPilotGoesOn) {
  JobSpec spec = harness_.Shell("doomed", "echo $SLURMD_NODENAME > \"$1\"; exec sleep 1000");
  spec.directives = {"--no-requeue"};
  const std::string doomed = Submit(spec);
  EXPECT_TRUE(integration::WaitUntil([&] {
    StatusOf(doomed);
    return !harness_.Text(harness_.FileOf("doomed")).empty();
  }));
  std::string node = harness_.Text(harness_.FileOf("doomed"));
  node.pop_back();
  cluster().Kill("slurmd-" + node);
  const JobStatus status = WaitForEnd(doomed);
  EXPECT_EQ(status.state, JobState::kNodeFailed);
  JobSpec again = harness_.Exiting("again", 0);
  again.directives = {"--no-requeue"};
  EXPECT_EQ(WaitForEnd(Submit(again)).state, JobState::kCompleted);
  const Status back = cluster().Begin("slurmd-" + node);
  EXPECT_TRUE(back.ok()) << back;
}

TEST_F(SlurmPilotTest, FrozenControllerIsUnknownNeverLost) {
  const std::string id = Submit(harness_.Gated("frozen"));
  WaitForRuns("frozen", 1);
  harness_.SlurmHarness::options().command_timeout = seconds(2);
  harness_.Restart();
  cluster().Freeze("slurmctld");
  EXPECT_EQ(StatusOf(id).state, JobState::kUnknown);
  EXPECT_EQ(StatusOf(id).state, JobState::kUnknown);
  EXPECT_THAT(StatusOf(id).message, HasSubstr("squeue"));
  cluster().Thaw("slurmctld");
  harness_.OpenGate("frozen");
  EXPECT_EQ(WaitForEnd(id).state, JobState::kCompleted);
  EXPECT_EQ(harness_.Runs("frozen"), 1);
}

TEST_F(SlurmPilotTest, QueueThatDoesNotExistIsRefusedAndTheNameIsFree) {
  JobSpec spec = harness_.Exiting("refused", 0);
  spec.queue = "no-such-partition";
  const auto id = harness_.adapter().Submit(spec);
  EXPECT_EQ(id.status().code(), StatusCode::kInvalidArgument) << id.status();
  EXPECT_EQ(*harness_.adapter().Find("refused"), std::nullopt);
  spec.queue.clear();
  EXPECT_EQ(WaitForEnd(Submit(spec)).state, JobState::kCompleted);
}

TEST_F(SlurmPilotTest, SuccessorServesWhatDoesNotFitAnyMore) {
  harness_.pilot_options().walltime = seconds(120);
  harness_.pilot_options().successor_before = seconds(10);
  harness_.Restart();
  JobSpec small = harness_.Exiting("small", 0);
  small.walltime = seconds(20);
  EXPECT_EQ(WaitForEnd(Submit(small)).state, JobState::kCompleted);
  JobSpec large = harness_.Exiting("large", 0);
  large.walltime = seconds(300);
  EXPECT_EQ(WaitForEnd(Submit(large)).state, JobState::kCompleted);
  EXPECT_THAT(*harness_.pilots().Pilots(), SizeIs(2));
}

}  // namespace
}  // namespace tributary::scheduler_adapters

int main(int argc, char** argv) {
  testing::AddGlobalTestEnvironment(new tributary::scheduler_adapters::ClusterOfThisProgram);
  return tributary::integration::RunTestsOrSkip(argc, argv, /*accounting=*/false);
}

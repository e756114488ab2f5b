#include "client/pilots.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/allocation.h"
#include "client/site_facts.h"
#include "core/files.h"
#include "scheduler_adapters/fake_adapter.h"
#include "scheduler_adapters/pilot_directory.h"

namespace tributary::client {
namespace {

using scheduler_adapters::FakeCluster;
using scheduler_adapters::FakeJobPlan;
using scheduler_adapters::FakeSchedulerAdapter;
using scheduler_adapters::JobSpec;
using scheduler_adapters::JobState;
using scheduler_adapters::JobStatus;
using scheduler_adapters::PilotDirectory;
using scheduler_adapters::PilotState;
using scheduler_adapters::SchedulerAdapter;
using std::chrono::hours;
using std::chrono::minutes;

class PilotsTest : public testing::Test {
 protected:
  PilotsTest() {
    config_.workspace = scratch_.path() + "/work";
    config_.scheduler.adapter = "slurm";
    config_.job.pilot.emplace();
    config_.job.pilot->directory = DefaultPilotDirectory(config_);
    ledger_ = *SiteLedger::Open(scratch_.path() + "/ledger.db");
  }
  std::unique_ptr<SchedulerAdapter> Open() {
    return *WithPilots(config_, "/opt/tributary-client",
                       std::make_unique<FakeSchedulerAdapter>(cluster_), ledger_.get(), clock_);
  }
  JobSpec Spec(const std::string& name) {
    JobSpec spec;
    spec.name = name;
    spec.working_directory = scratch_.path();
    spec.command = {"/bin/true"};
    spec.stdout_path = spec.stderr_path = "/dev/null";
    spec.nodes = 3;
    return spec;
  }
  static JobState StateOf(SchedulerAdapter& adapter, const std::string& id) {
    const std::vector<std::string> ids = {id};
    return adapter.Query(ids).at(0).state;
  }

  TemporaryDirectory scratch_ = *TemporaryDirectory::Create("pilots");
  FakeClock clock_{Timestamp(std::chrono::seconds(1'763'700'000))};
  FakeCluster cluster_{clock_, [](const JobSpec&) {
                         FakeJobPlan plan;
                         plan.run_time = hours(3);
                         return plan;
                       }};
  ClientConfig config_;
  std::unique_ptr<SiteLedger> ledger_;
};

TEST_F(PilotsTest, SiteWithoutTheSectionRunsJobs) {
  config_.job.pilot.reset();
  EXPECT_EQ(*Open()->Submit(Spec("a")), "fake-1");
  EXPECT_FALSE(PathExists(DefaultPilotDirectory(config_)));
  EXPECT_TRUE(RecordPilots(config_, *ledger_).ok());
}

TEST_F(PilotsTest, SiteThatSwitchesPilotsOffLosesNoTask) {
  EXPECT_EQ(*Open()->Submit(Spec("a")), "a");
  config_.job.pilot.reset();
  const auto adapter = Open();
  EXPECT_EQ(StateOf(*adapter, "a"), JobState::kNodeFailed);  // goes on in another job
  EXPECT_EQ(*adapter->Submit(Spec("a.a2")), "fake-2");
}

TEST_F(PilotsTest, TaskIsRefusedWhenTheAllocationHasNoRoomForItsPilot) {
  config_.allocation.total = 0.2;  // three nodes idle for five minutes: 0.25
  const auto adapter = Open();
  const Status status = adapter->Submit(Spec("a")).status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << status;
  EXPECT_THAT(status.message(), testing::HasSubstr("all campaigns"));
  EXPECT_THAT(status.message(), testing::HasSubstr("0.20 node-hours"));
  EXPECT_TRUE(PilotDirectory(config_.job.pilot->directory).Pilots()->empty());
}

TEST_F(PilotsTest, FurtherPilotsStayWithinTheAllocation) {
  config_.allocation.total = 0.4;
  config_.job.pilot->max_pilots = 2;
  const auto adapter = Open();
  for (const char* name : {"a", "b"}) EXPECT_TRUE(adapter->Submit(Spec(name)).ok());
  EXPECT_EQ(PilotDirectory(config_.job.pilot->directory).Pilots()->size(), 1u);
  const std::vector<std::string> ids = {"b"};
  const JobStatus status = adapter->Query(ids).at(0);
  EXPECT_EQ(status.state, JobState::kQueued);  // for the pilot that there is
  EXPECT_THAT(status.message, testing::HasSubstr("no further pilot"));
}

TEST_F(PilotsTest, IdleTimeIsTheSitesAndCountsAgainstItsTotal) {
  const auto adapter = Open();
  adapter->Submit(Spec("a")).value();
  const PilotDirectory directory(config_.job.pilot->directory);
  const std::string pilot = directory.Pilots()->at(0);
  PilotState state;
  state.started = clock_.Now();
  clock_.Advance(hours(2));
  state.beat = clock_.Now();
  state.busy = minutes(90);
  ASSERT_TRUE(directory.PutState(pilot, state).ok());

  ASSERT_TRUE(RecordPilots(config_, *ledger_).ok());
  Spending spent = Sum(config_.allocation, *ledger_->Jobs());
  EXPECT_DOUBLE_EQ(spent.idle, 1.5);  // three nodes
  EXPECT_DOUBLE_EQ(spent.used, 0);
  EXPECT_DOUBLE_EQ(spent.pending, 1.5 + 3 * 5.0 / 60);  // and until its patience ends

  clock_.Advance(hours(2));  // it ended after three
  StateOf(*adapter, "a");
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(RecordPilots(config_, *ledger_).ok());
  spent = Sum(config_.allocation, *ledger_->Jobs());
  EXPECT_DOUBLE_EQ(spent.used, 3 * 1.5);
  EXPECT_DOUBLE_EQ(spent.idle, 3 * 1.5);

  const auto facts = MakeSiteFacts(config_, *ledger_);
  ASSERT_TRUE(facts.ok()) << facts.status();
  ASSERT_EQ(facts->allocations_size(), 1);
  EXPECT_DOUBLE_EQ(facts->allocations(0).idle(), 3 * 1.5);
  EXPECT_EQ(facts->forecasts_size(), 0);  // a pilot's wait is no task's
}

}  // namespace
}  // namespace tributary::client

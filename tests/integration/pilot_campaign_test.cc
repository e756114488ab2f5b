// A campaign whose tasks run in pilots: the real server and daemon, and pilots as local jobs.
#include <gtest/gtest.h>
#include <signal.h>

#include "scheduler_adapters/pilot_adapter.h"
#include "tests/integration/federation_harness.h"

namespace tributary::integration {
namespace {

using scheduler_adapters::PilotDirectory;

// Each round is a training and an evaluation, so two tasks.
class PilotCampaignTest : public testing::Test {
 protected:
  void SetUp() override {
    SiteSetup site;
    site.job = "  pilot: {poll_interval: 20ms, idle_timeout: 60s}\n";
    auto started = FederationHarness::Start(std::vector<SiteSetup>{site});
    ASSERT_TRUE(started.ok()) << started.status();
    federation_ = *std::move(started);
    name_ = federation_->Campaign("allowed", 1).sites.at(0);
  }
  // No pilot outlives its test.
  void TearDown() override {
    const PilotDirectory pilots = Pilots();
    (void)WriteFileAtomic(pilots.path() + "/stop", "");
    federation_->OpenGate(name_);
    EXPECT_TRUE(WaitFor([&] {
      const auto names = pilots.Pilots();
      for (const std::string& pilot : *names) {
        const auto state = pilots.ReadState(pilot);
        if (!state.ok() || !*state) continue;
        if ((*state)->left.empty() && kill(static_cast<pid_t>((*state)->pid), 0) == 0) return false;
      }
      return true;
    }));
  }
  PilotDirectory Pilots() const {
    return PilotDirectory(federation_->SiteHome(name_) + "/work/.pilots");
  }
  std::size_t CountPilots() const { return Pilots().Pilots()->size(); }

  std::unique_ptr<FederationHarness> federation_;
  std::string name_;
};

TEST_F(PilotCampaignTest, AllRoundsRunInOneJob) {
  const auto campaign = federation_->Submit(federation_->Campaign("allowed", 3));
  ASSERT_TRUE(campaign.ok()) << campaign.status();
  const auto status = federation_->AwaitEnd(*campaign);
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(status->phase(), "completed") << status->DebugString();
  EXPECT_EQ(federation_->JobStarts(name_), 2 * 3);
  EXPECT_EQ(CountPilots(), 1u);
}

TEST_F(PilotCampaignTest, DaemonKilledDuringATaskFindsItAgain) {
  federation_->CloseGate(name_);
  const auto campaign = federation_->Submit(federation_->Campaign("allowed", 2));
  ASSERT_TRUE(campaign.ok()) << campaign.status();
  ASSERT_TRUE(WaitFor([&] { return federation_->JobStarts(name_) == 1; }));
  federation_->KillClient(name_);
  federation_->OpenGate(name_);
  ASSERT_TRUE(federation_->StartClient(name_).ok());
  const auto status = federation_->AwaitEnd(*campaign);
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(status->phase(), "completed") << status->DebugString();
  EXPECT_EQ(federation_->JobStarts(name_), 2 * 2);
  EXPECT_EQ(CountPilots(), 1u);
}

TEST_F(PilotCampaignTest, PilotKilledDuringATaskCostsAnAttemptNotTheRound) {
  federation_->CloseGate(name_);
  const auto campaign = federation_->Submit(federation_->Campaign("allowed", 2));
  ASSERT_TRUE(campaign.ok()) << campaign.status();
  ASSERT_TRUE(WaitFor([&] { return federation_->JobStarts(name_) == 1; }));
  const auto state = Pilots().ReadState(Pilots().Pilots()->at(0));
  ASSERT_TRUE(state.ok() && *state);
  ASSERT_EQ(kill(static_cast<pid_t>((*state)->pid), SIGKILL), 0);
  federation_->OpenGate(name_);
  const auto status = federation_->AwaitEnd(*campaign);
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(status->phase(), "completed") << status->DebugString();
  EXPECT_EQ(federation_->JobStarts(name_), 2 * 2 + 1);
  EXPECT_EQ(CountPilots(), 2u);
}

}  // namespace
}  // namespace tributary::integration

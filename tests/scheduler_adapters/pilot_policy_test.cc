#include "scheduler_adapters/pilot_policy.h"

#include <gtest/gtest.h>

#include <vector>

namespace tributary::scheduler_adapters {
namespace {

using std::chrono::seconds;

constexpr PilotLimits kOne{1, seconds(600), seconds(300)};
constexpr PilotLimits kTwo{2, seconds(600), seconds(300)};

LivePilot InQueue(seconds walltime) { return {false, false, seconds(0), walltime}; }
LivePilot Idle(seconds idle, seconds left) { return {true, false, idle, left}; }
LivePilot Busy(seconds left) { return {true, true, seconds(0), left}; }

bool Wants(const std::vector<seconds>& waiting, const std::vector<LivePilot>& pilots,
           const PilotLimits& limits) {
  return WantsPilot(waiting, pilots, limits);
}

TEST(FitsPilotTest, NeedsTheTasksWalltimeAndAReserve) {
  EXPECT_TRUE(FitsPilot(seconds(100), std::nullopt));
  EXPECT_TRUE(FitsPilot(seconds(100), seconds(105)));
  EXPECT_FALSE(FitsPilot(seconds(100), seconds(104)));
  EXPECT_TRUE(FitsPilot(seconds(0), seconds(5)));
  EXPECT_FALSE(FitsPilot(seconds(0), seconds(4)));
}

TEST(WantsPilotTest, OnlyForWork) {
  EXPECT_FALSE(Wants({}, {}, kOne));
  EXPECT_TRUE(Wants({seconds(60)}, {}, kOne));
}

TEST(WantsPilotTest, OneThatIsQueuedOrIdleIsEnoughForOneTask) {
  EXPECT_FALSE(Wants({seconds(60)}, {InQueue(seconds(3600))}, kTwo));
  EXPECT_FALSE(Wants({seconds(60)}, {Idle(seconds(5), seconds(3600))}, kTwo));
  EXPECT_TRUE(Wants({seconds(60), seconds(60)}, {Idle(seconds(5), seconds(3600))}, kTwo));
  EXPECT_TRUE(Wants({seconds(60)}, {Busy(seconds(3600))}, kTwo));
}

TEST(WantsPilotTest, NeverMoreThanAllowed) {
  EXPECT_FALSE(Wants({seconds(60)}, {Busy(seconds(3600))}, kOne));
  EXPECT_FALSE(Wants({seconds(60), seconds(60), seconds(60)},
                     {Busy(seconds(3600)), InQueue(seconds(3600))}, kTwo));
  EXPECT_FALSE(Wants({seconds(60)}, {Busy(seconds(10)), Busy(seconds(20))}, kOne));
}

TEST(WantsPilotTest, ABusyOneThatNearsItsEndGetsOneSuccessor) {
  EXPECT_TRUE(Wants({}, {Busy(seconds(599))}, kOne));
  EXPECT_FALSE(Wants({}, {Busy(seconds(600))}, kOne));
  EXPECT_FALSE(Wants({}, {Busy(seconds(599)), InQueue(seconds(3600))}, kOne));
  EXPECT_TRUE(Wants({}, {Busy(seconds(599)), Busy(seconds(100)), InQueue(seconds(3600))}, kTwo));
}

TEST(WantsPilotTest, OneThatIsIdleForLongGetsNone) {
  EXPECT_TRUE(Wants({}, {Idle(seconds(150), seconds(599))}, kOne));
  EXPECT_FALSE(Wants({}, {Idle(seconds(151), seconds(599))}, kOne));
}

TEST(WantsPilotTest, OneWithTooLittleLeftForWhatWaitsIsNearlyOver) {
  EXPECT_TRUE(Wants({seconds(1800)}, {Busy(seconds(1200))}, kOne));
  EXPECT_TRUE(Wants({seconds(1800)}, {Idle(seconds(0), seconds(1200))}, kOne));
  EXPECT_FALSE(Wants({seconds(1800), seconds(60)}, {Busy(seconds(1200))}, kOne));
}

TEST(WantsPilotTest, OneWithoutAWalltimeIsNeverNearlyOver) {
  EXPECT_FALSE(Wants({}, {LivePilot{true, true, seconds(0), std::nullopt}}, kOne));
}

TEST(WalltimeForTest, HoldsTheLongestTaskThatWaitsWithRoomToStart) {
  const PilotWalltime usual = WalltimeFor(seconds(14400), {});
  EXPECT_EQ(usual.job, seconds(14400));
  EXPECT_EQ(usual.serve, seconds(14340));
  const std::vector<seconds> waiting = {seconds(60), seconds(20000)};
  const PilotWalltime longer = WalltimeFor(seconds(14400), waiting);
  EXPECT_TRUE(FitsPilot(seconds(20000), longer.serve));
  EXPECT_GE(longer.job, longer.serve + seconds(60));
  EXPECT_EQ(WalltimeFor(seconds(0), waiting).job, seconds(0));
}

TEST(PilotBackoffTest, GrowsToABound) {
  EXPECT_EQ(PilotBackoff(0), seconds(0));
  EXPECT_EQ(PilotBackoff(1), seconds(5));
  EXPECT_EQ(PilotBackoff(2), seconds(10));
  EXPECT_EQ(PilotBackoff(100), PilotBackoff(99));
}

}  // namespace
}  // namespace tributary::scheduler_adapters

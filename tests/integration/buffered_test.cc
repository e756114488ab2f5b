// Buffered pacing with real processes: rounds close while a site's job is queued, and what it sends
// in the end counts once, as old as it is, whoever was killed meanwhile.
#include <gtest/gtest.h>

#include "tests/integration/federation_harness.h"

namespace tributary::integration {
namespace {

TEST(BufferedTest, ASlowSiteHoldsNobodyUpAndCountsOnce) {
  constexpr int kBufferedRounds = 6;
  auto started = FederationHarness::Start(3);
  ASSERT_TRUE(started.ok()) << started.status();
  FederationHarness& harness = **started;
  harness.CloseGate("site-2");
  CampaignFile file = harness.Campaign("allowed", kBufferedRounds);
  file.aggregator.kind = "fedbuff";
  file.pacing.kind = "buffered";
  file.pacing.quorum = 2;
  ASSERT_TRUE(harness.Submit(file).ok());
  const auto version_is = [&](std::int64_t least) {
    return WaitFor([&] {
      const auto status = harness.Show("allowed");
      return status.ok() && status->version() >= least;
    });
  };
  ASSERT_TRUE(version_is(2)) << "two sites make versions while the third one's first job waits";
  harness.CloseGate("site-0");  // from here on nobody makes a version without site-2
  harness.KillServer();
  harness.KillClient("site-2");
  ASSERT_TRUE(harness.StartServer().ok());
  ASSERT_TRUE(harness.StartClient("site-2").ok());
  harness.OpenGate("site-2");
  ASSERT_TRUE(WaitFor([&] {
    const auto status = harness.Show("allowed");
    if (!status.ok()) return false;
    for (const v1::RoundStatus& round : status->round_history()) {
      for (const v1::Contribution& c : round.contributions()) {
        if (c.site() == "site-2" && round.closed_at_us() > 0) return true;
      }
    }
    return false;
  }));
  harness.OpenGate("site-0");
  const auto status = harness.AwaitEnd("allowed");
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(status->phase(), "completed") << status->note();
  EXPECT_EQ(status->version(), kBufferedRounds);
  ASSERT_EQ(status->round_history_size(), kBufferedRounds);
  int old = 0;
  for (const v1::RoundStatus& round : status->round_history()) {
    int accepted = 0;
    for (const v1::Contribution& c : round.contributions()) {
      accepted += c.outcome() == "accepted" ? 1 : 0;
      if (c.site() != "site-2" || c.staleness() < 2) continue;
      ++old;
      EXPECT_EQ(c.outcome(), "accepted") << c.reason();
    }
    EXPECT_GE(accepted, 2) << "round " << round.round();
  }
  EXPECT_EQ(old, 1) << "the update of its first job, in one round";
}

}  // namespace
}  // namespace tributary::integration

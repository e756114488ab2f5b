#include "server/wire.h"

#include <gtest/gtest.h>

#include "core/wire_bounds.h"

namespace tributary::server {
namespace {

Campaign CampaignOf(int rounds, int metrics) {
  Campaign campaign;
  campaign.id = "c";
  campaign.versions.push_back({});
  for (int r = 1; r <= rounds; ++r) {
    Round round;
    round.number = r;
    round.closed_at = Timestamp{};
    for (int m = 0; m < metrics; ++m) {
      round.metrics["site/" + std::string(kMaxMetricName - 8, 'm') + std::to_string(m)] = m;
    }
    campaign.rounds.push_back(std::move(round));
  }
  return campaign;
}

TEST(WireTest, AShortHistoryIsWhole) {
  const v1::CampaignStatus status = ToStatus(CampaignOf(50, 10), {});
  ASSERT_EQ(status.round_history_size(), 50);
  EXPECT_EQ(status.rounds_left_out(), 0);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(status.round_history(i).round(), i + 1);
}

// Else show, watch, pause and cancel would fail for good: readers take 64 MiB.
TEST(WireTest, AHistoryTooLargeForAMessageLosesItsOldestRounds) {
  const v1::CampaignStatus status = ToStatus(CampaignOf(2000, kMaxMetrics), {});
  EXPECT_LT(status.ByteSizeLong(), std::size_t{20} << 20);
  EXPECT_GT(status.rounds_left_out(), 0);
  EXPECT_EQ(status.rounds_left_out() + status.round_history_size(), 2000);
  EXPECT_EQ(status.round_history(0).round(), status.rounds_left_out() + 1);
  EXPECT_EQ(status.round_history(status.round_history_size() - 1).round(), 2000);
}

}  // namespace
}  // namespace tributary::server

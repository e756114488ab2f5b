#include "server/wire.h"

#include <gtest/gtest.h>

#include "core/wire_bounds.h"
#include "tests/server/engine_harness.h"

namespace tributary::server {
namespace {

Campaign LongCampaign(int rounds, int metrics) {
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
  const v1::CampaignStatus status = ToStatus(LongCampaign(50, 10), {});
  ASSERT_EQ(status.round_history_size(), 50);
  EXPECT_EQ(status.rounds_left_out(), 0);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(status.round_history(i).round(), i + 1);
}

// Else show, watch, pause and cancel would fail for good: readers take 64 MiB.
TEST(WireTest, AHistoryTooLargeForAMessageLosesItsOldestRounds) {
  const v1::CampaignStatus status = ToStatus(LongCampaign(2000, kMaxMetrics), {});
  EXPECT_LT(status.ByteSizeLong(), std::size_t{20} << 20);
  EXPECT_GT(status.rounds_left_out(), 0);
  EXPECT_EQ(status.rounds_left_out() + status.round_history_size(), 2000);
  EXPECT_EQ(status.round_history(0).round(), status.rounds_left_out() + 1);
  EXPECT_EQ(status.round_history(status.round_history_size() - 1).round(), 2000);
}

TEST(WireTest, ARoundNamesSitesWithoutAnEvaluationAndWhyAnUpdateIsPartial) {
  EngineHarness engine;
  engine.Start({"a", "b"}, "pacing: {rounds: 2, attempts: 2}\n");
  ReportFacts facts = EngineHarness::Facts("c.r1.a.t1");
  facts.completion = Completion::kPartial;
  facts.message = "SIGTERM before the walltime";
  engine.Do(UpdateAccepted{"c.r1.a.t1", facts});
  v1::CampaignStatus status = ToStatus(engine.campaign(), {});
  ASSERT_EQ(status.tasks_size(), 2);
  EXPECT_EQ(status.tasks(0).phase(), "partial");
  EXPECT_EQ(status.tasks(0).message(), "SIGTERM before the walltime");
  engine.Update("c.r1.b.t1");
  engine.Publish(1);
  engine.Evaluation("c.r1.a.e1", 2);
  engine.Fail("c.r1.b.e1", "out of memory");
  status = ToStatus(engine.campaign(), {});
  const v1::RoundStatus& round = status.round_history(0);
  EXPECT_EQ(round.contributions(0).outcome(), "partial");
  EXPECT_EQ(round.contributions(0).reason(), "SIGTERM before the walltime");
  EXPECT_EQ(round.contributions(0).steps(), 2);
  EXPECT_EQ(round.contributions(0).planned_steps(), engine.task("c.r1.a.t1").steps);
  ASSERT_EQ(round.missing_evaluations_size(), 1);
  EXPECT_EQ(round.missing_evaluations(0).site(), "b");
  EXPECT_EQ(round.missing_evaluations(0).outcome(), "outstanding") << "it is tried again";
  engine.Fail("c.r1.b.e2", "out of memory");
  status = ToStatus(engine.campaign(), {});
  EXPECT_EQ(status.round_history(0).missing_evaluations(0).outcome(), "failed");
  EXPECT_EQ(status.round_history(0).missing_evaluations(0).reason(), "out of memory");
  EXPECT_EQ(status.round_history(1).missing_evaluations_size(), 0);
}

}  // namespace
}  // namespace tributary::server

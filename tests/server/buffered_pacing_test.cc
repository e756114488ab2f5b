#include "server/buffered_pacing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/strategy.h"

namespace tributary::server {
namespace {

using testing::HasSubstr;

CampaignFile BufferedFile(std::int64_t quorum, std::int64_t sites_per_round = 0) {
  CampaignFile file;
  file.training.steps = 17;
  file.pacing.kind = "buffered";
  file.pacing.quorum = quorum;
  file.pacing.sites_per_round = sites_per_round;
  file.pacing.deadline = std::chrono::seconds(90);
  return file;
}

std::unique_ptr<Pacing> Buffered(const CampaignFile& file) {
  return MakeBufferedPacing(file).value();
}

TEST(BufferedPacingTest, ClosesWithAFullBufferWhoeverIsOut) {
  struct Row {
    std::int64_t quorum;
    RoundView view;  // selected, accepted, failed, deadline passed
    Decision decision;
  };
  const std::vector<Row> table = {
      {2, {3, 0, 0, false}, Decision::kWait},  {2, {3, 1, 0, false}, Decision::kWait},
      {2, {3, 2, 0, false}, Decision::kClose}, {2, {3, 3, 0, false}, Decision::kClose},
      {1, {3, 1, 0, false}, Decision::kClose}, {2, {3, 1, 0, true}, Decision::kClose},
      {2, {3, 0, 0, true}, Decision::kWait},   {2, {3, 0, 2, true}, Decision::kWait},
      {2, {3, 1, 2, false}, Decision::kClose}, {2, {3, 0, 3, false}, Decision::kImpossible},
      {5, {3, 3, 0, false}, Decision::kClose}, {5, {3, 2, 0, false}, Decision::kWait},
  };
  for (const Row& row : table) {
    EXPECT_EQ(Buffered(BufferedFile(row.quorum))->Decide(row.view), row.decision)
        << row.quorum << " of " << row.view.selected << ": " << row.view.accepted << " accepted, "
        << row.view.failed << " failed, deadline " << row.view.deadline_passed;
  }
}

TEST(BufferedPacingTest, EverybodyWhoIsFreeGetsATask) {
  const auto pacing = Buffered(BufferedFile(2));
  const RoundPlan plan = pacing->Plan({.eligible = {"a", "c"}, .carried = 3});
  ASSERT_TRUE(plan.enough);
  ASSERT_EQ(plan.sites.size(), 2u);
  EXPECT_EQ(plan.sites[1].site, "c");
  EXPECT_EQ(plan.sites[1].steps, 17);
  EXPECT_EQ(plan.deadline.count(), 90);
  EXPECT_TRUE(pacing->Plan({.eligible = {}, .carried = 1}).enough);
  EXPECT_FALSE(pacing->Plan({.eligible = {}, .carried = 0}).enough);
}

TEST(BufferedPacingTest, SitesPerRoundIsHowManyTrainAtATime) {
  const auto pacing = Buffered(BufferedFile(1, 3));
  EXPECT_EQ(pacing->Plan({.eligible = {"a", "b", "c", "d"}, .seed = 4, .carried = 1}).sites.size(),
            2u);
  EXPECT_TRUE(pacing->Plan({.eligible = {"a", "b"}, .carried = 3}).sites.empty());
  EXPECT_TRUE(pacing->Plan({.eligible = {"a", "b"}, .carried = 3}).enough);
  EXPECT_EQ(pacing->Plan({.eligible = {"a", "b"}, .carried = 3, .late = 1}).sites.size(), 1u)
      << "who is silent for many rounds holds no place";
}

TEST(BufferedPacingTest, NeedsTheSizeOfTheBufferAndAStrategyThatTakesOldUpdates) {
  CampaignFile file = BufferedFile(0);
  file.sites = {"a", "b"};
  file.aggregator.kind = "fedbuff";
  EXPECT_THAT(CheckStrategy(file).message(), HasSubstr("pacing.quorum: buffered pacing closes"));
  file.pacing.quorum = 2;
  EXPECT_TRUE(CheckStrategy(file).ok()) << CheckStrategy(file);
  file.aggregator.kind = "fedavg";
  EXPECT_THAT(CheckStrategy(file).message(),
              HasSubstr("pacing.kind: aggregator fedavg does not take updates of older versions, "
                        "which buffered pacing gives it; use pacing.kind: synchronous, or one of "
                        "fedasync, fedbuff"));
}

}  // namespace
}  // namespace tributary::server

#include "aggregators/fed_avg.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/aggregators/round_harness.h"

namespace tributary::aggregators {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<float> FoldMean(const AggregatorSection& section,
                            const std::vector<SiteUpdate>& updates, std::vector<float> global) {
  return RoundHarness(std::move(global)).Fold(*MakeStrategy("fedavg", {}, section), updates);
}

TEST(FedAvgTest, IsTheWeightedMeanOfTheUpdates) {
  const std::vector<SiteUpdate> updates = {Sends("a", {1, 0}, 1), Sends("b", {0, 2}, 3)};
  EXPECT_THAT(FoldMean({}, updates, {0, 0}), ElementsAre(0.25F, 1.5F));
  EXPECT_THAT(FoldMean({}, updates, {10, -1}), ElementsAre(10.25F, 0.5F));
}

TEST(FedAvgTest, SplittingASiteChangesNothing) {
  const std::vector<SiteUpdate> whole = {Sends("a", {1, -2}, 4), Sends("b", {0, 2}, 4)};
  const std::vector<SiteUpdate> split = {Sends("a1", {1, -2}, 2), Sends("a2", {1, -2}, 2),
                                         Sends("b", {0, 2}, 4)};
  EXPECT_EQ(FoldMean({}, whole, {1, 1}), FoldMean({}, split, {1, 1}));
}

TEST(FedAvgTest, WeighsByWhatTheCampaignSays) {
  std::vector<SiteUpdate> updates = {Sends("a", {8}), Sends("b", {0})};
  updates[0].contribution = {.site = "a", .samples = 1, .tokens = 1, .steps = 3};
  updates[1].contribution = {.site = "b", .samples = 3, .tokens = 7, .steps = 1};
  const auto fold = [&](const std::string& weights) {
    return FoldMean({.weights = weights, .custom_weights = {{"a", 0.6}, {"b", 0.2}}}, updates,
                    {0})[0];
  };
  EXPECT_EQ(fold("equal"), 4);
  EXPECT_EQ(fold("samples"), 2);
  EXPECT_EQ(fold("tokens"), 1);
  EXPECT_EQ(fold("steps"), 6);
  EXPECT_FLOAT_EQ(fold("custom"), 6);
}

TEST(FedAvgTest, ServerLearningRateScalesTheStep) {
  EXPECT_THAT(FoldMean({.server_learning_rate = 0.5}, {Sends("a", {4, -2}, 7)}, {1, 1}),
              ElementsAre(3, 0));
}

TEST(FedAvgTest, ASiteWithoutStepsCountsWithItsWeight) {
  SiteUpdate idle = Sends("b", {0}, 3);
  idle.contribution.steps = 0;
  EXPECT_THAT(FoldMean({}, {Sends("a", {4}, 1), idle}, {0}), ElementsAre(1));
}

TEST(FedAvgTest, ManySitesAreSummedInFp64) {
  std::vector<SiteUpdate> updates;
  for (int k = 0; k < 100; ++k) updates.push_back(Sends("s" + std::to_string(k), {0.1F}));
  updates[0].tensors[0].values = {1e8F};
  updates[99].tensors[0].values = {-1e8F};
  EXPECT_NEAR(FoldMean({}, updates, {0})[0], 98 * 0.1 / 100, 1e-7);
}

TEST(FedAvgTest, RefusesWeightsThatMeanNothing) {
  RoundHarness harness({1});
  const auto strategy = MakeStrategy("fedavg");
  EXPECT_THAT(harness.Step(*strategy, {Sends("a", {1}, 0), Sends("b", {1}, 0)}).message(),
              HasSubstr("all updates have weight 0: no site has a number of samples above 0; "
                        "sites: a b"));
  EXPECT_THAT(harness.Step(*strategy, {Sends("a", {1}, 5), Sends("b", {1}, -1)}).message(),
              HasSubstr("site b has a negative number of samples"));
  EXPECT_EQ(harness.Step(*strategy, {}),
            InvalidArgumentError("0 updates; this strategy needs at least 1"));
}

}  // namespace
}  // namespace tributary::aggregators

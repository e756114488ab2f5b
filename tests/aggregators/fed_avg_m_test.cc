#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/aggregators/round_harness.h"

namespace tributary::aggregators {
namespace {

using testing::ElementsAre;
using testing::FloatNear;
using testing::HasSubstr;
using testing::Pointwise;

// b and x after each round of a constant pseudo-gradient g: D = -g.
TEST(FedAvgMTest, SumsAGeometricSeries) {
  RoundHarness harness({0});
  const auto strategy = MakeStrategy("fedavgm");
  for (const float expected : {-1.0F, -2.9F, -5.61F}) {
    EXPECT_THAT(harness.Fold(*strategy, {Sends("a", {-1})}),
                ElementsAre(FloatNear(expected, 1e-5)));
  }
  EXPECT_THAT(harness.State("momentum"), ElementsAre(FloatNear(-2.71F, 1e-5)));
}

TEST(FedAvgMTest, WithoutMomentumIsFedAvgBitForBit) {
  const std::vector<SiteUpdate> updates = {Sends("a", RandomFloats(999, 1), 3),
                                           Sends("b", RandomFloats(999, 2), 4)};
  RoundHarness mean(RandomFloats(999, 3));
  RoundHarness momentum(RandomFloats(999, 3));
  const AggregatorSection section = {.server_learning_rate = 0.3};
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(momentum.Fold(*MakeStrategy("fedavgm", {{"momentum", "0"}}, section), updates),
              mean.Fold(*MakeStrategy("fedavg", {}, section), updates));
  }
  EXPECT_FALSE(momentum.HasState("momentum"));
}

TEST(FedAvgMTest, DampeningTakesTheFirstStepWhole) {  // b = 1, .9 + .1, 1
  RoundHarness harness({0});
  const auto strategy = MakeStrategy("fedavgm", {{"dampening", "0.9"}});
  for (const float expected : {1.0F, 2.0F, 3.0F}) {
    EXPECT_THAT(harness.Fold(*strategy, {Sends("a", {1})}), ElementsAre(FloatNear(expected, 1e-5)));
  }
}

TEST(FedAvgMTest, NesterovLooksAhead) {  // 1 + .9 b
  RoundHarness harness({0});
  const auto strategy = MakeStrategy("fedavgm", {{"nesterov", "yes"}});
  EXPECT_THAT(harness.Fold(*strategy, {Sends("a", {1})}), ElementsAre(FloatNear(1.9F, 1e-6)));
  EXPECT_THAT(harness.Fold(*strategy, {Sends("a", {1})}),
              ElementsAre(FloatNear(1.9F + 1 + 0.9F * 1.9F, 1e-5)));
}

TEST(FedAvgMTest, MovesOnWhenSitesStandStill) {  // U1 does not hold after motion: b drains
  RoundHarness harness({0});
  const auto strategy = MakeStrategy("fedavgm");
  harness.Fold(*strategy, {Sends("a", {1})});
  EXPECT_THAT(harness.Fold(*strategy, {Sends("a", {0})}), ElementsAre(FloatNear(1.9F, 1e-6)));
}

}  // namespace
}  // namespace tributary::aggregators

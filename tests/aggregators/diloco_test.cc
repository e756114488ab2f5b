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

TEST(DilocoTest, TakesTheOuterStepsOfThePaper) {  // constant g = 1
  RoundHarness harness({0});
  const auto strategy = MakeStrategy("diloco");
  for (const float expected : {-1.33F, -3.227F, -5.6343F, -8.50087F}) {
    EXPECT_THAT(harness.Fold(*strategy, {Sends("a", {-1}, 3), Sends("b", {-1}, 1)}),
                ElementsAre(FloatNear(expected, 1e-5)));
  }
}

TEST(DilocoTest, WithoutMomentumIsFedAvgOfEqualSites) {
  RoundHarness diloco(RandomFloats(99, 3));
  RoundHarness mean(RandomFloats(99, 3));
  const std::vector<SiteUpdate> updates = {Sends("a", RandomFloats(99, 1), 3),
                                           Sends("b", RandomFloats(99, 2), 5)};
  EXPECT_EQ(
      diloco.Fold(*MakeStrategy("diloco", {{"momentum", "0"}, {"learning_rate", "1"}}), updates),
      mean.Fold(*MakeStrategy("fedavg", {}, {.weights = "equal"}), updates));
}

TEST(DilocoTest, AFailedRoundLeavesVersionAndMomentum) {
  RoundHarness harness({0});
  const auto strategy = MakeStrategy("diloco");
  harness.Fold(*strategy, {Sends("a", {-1})});
  EXPECT_FALSE(harness.Step(*strategy, {}).ok());
  EXPECT_THAT(harness.Fold(*strategy, {Sends("a", {-1})}), ElementsAre(FloatNear(-3.227F, 1e-5)));
}

TEST(DilocoTest, SitesKeepTheirOptimizer) {
  EXPECT_TRUE(MakeStrategy("diloco")->Directive(1).keep_optimizer);
}

}  // namespace
}  // namespace tributary::aggregators

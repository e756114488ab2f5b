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

TEST(FedProxTest, TheServersStepIsFedAvgs) {
  const std::vector<SiteUpdate> updates = {Sends("a", RandomFloats(99, 1), 3),
                                           Sends("b", RandomFloats(99, 2), 4)};
  RoundHarness mean(RandomFloats(99, 3));
  RoundHarness prox(RandomFloats(99, 3));
  EXPECT_EQ(prox.Fold(*MakeStrategy("fedprox", {{"mu", "0.5"}}), updates),
            mean.Fold(*MakeStrategy("fedavg"), updates));
}

TEST(FedProxTest, SitesAreHeldNearTheVersion) {
  EXPECT_EQ(MakeStrategy("fedprox")->Directive(1).proximal, 0.01);
  EXPECT_EQ(MakeStrategy("fedprox", {{"mu", "0"}})->Directive(9), TrainDirective());
}

// f = a/2 (y - c)^2 with the gradient that the directive defines.
TEST(FedProxTest, TheDirectiveMovesTheLocalMinimum) {
  const double mu = MakeStrategy("fedprox", {{"mu", "1"}})->Directive(1).proximal;
  double y = 0;
  for (int step = 0; step < 200; ++step) y -= 0.1 * (2 * (y - 3) + mu * (y - 0));
  EXPECT_NEAR(y, 2, 1e-9);
}

}  // namespace
}  // namespace tributary::aggregators

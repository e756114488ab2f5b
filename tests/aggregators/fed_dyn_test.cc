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

// A site with the loss a/2 (y - b)^2, minimised exactly with the directive's terms.
struct DynSite {
  std::string name;
  double a = 1;
  double b = 0;
  double q = 0;

  SiteUpdate Train(double x, double alpha) {
    const double y = (a * b + q + alpha * x) / (a + alpha);
    q -= alpha * (y - x);
    return Sends(name, {static_cast<float>(y - x)});
  }
};

TEST(FedDynTest, AsksForDualGradients) {
  const TrainDirective directive = MakeStrategy("feddyn", {{"alpha", "0.5"}})->Directive(1);
  EXPECT_EQ(directive.offset, GradientOffset::kDualGradient);
  EXPECT_EQ(directive.proximal, 0.5);
}

TEST(FedDynTest, TheFirstRoundOfAllSitesIsTwiceFedAvg) {
  RoundHarness harness({10});
  EXPECT_THAT(harness.Fold(*MakeStrategy("feddyn"), {Sends("a", {1}), Sends("b", {3})}),
              ElementsAre(FloatNear(14, 1e-5)));
}

TEST(FedDynTest, HIsTheMeanOfAllDualGradients) {
  std::vector<DynSite> sites = {{"a", 1, 1}, {"b", 2, -1}, {"c", 3, 5}};
  RoundHarness harness({0});
  harness.input().registered_sites = 3;
  const auto strategy = MakeStrategy("feddyn", {{"alpha", "0.5"}});
  for (std::size_t round = 0; round < 6; ++round) {
    harness.Fold(*strategy, {sites[round % 3].Train(harness.Global()[0], 0.5),
                             sites[(round + 1) % 3].Train(harness.Global()[0], 0.5)});
    EXPECT_NEAR(harness.State("h")[0], (sites[0].q + sites[1].q + sites[2].q) / 3, 1e-5);
  }
}

TEST(FedDynTest, ConvergesToTheGlobalOptimum) {
  std::vector<DynSite> sites = {{"a", 1, 4}, {"b", 3, 0}};  // optimum 1
  RoundHarness harness({0});
  const auto strategy = MakeStrategy("feddyn", {{"alpha", "1"}});
  for (int round = 0; round < 60; ++round) {
    harness.Fold(*strategy,
                 {sites[0].Train(harness.Global()[0], 1), sites[1].Train(harness.Global()[0], 1)});
  }
  EXPECT_NEAR(harness.Global()[0], 1, 1e-4);
  EXPECT_NEAR(sites[0].q, 1 * (1 - 4), 1e-3);  // q_k is the gradient there
  EXPECT_NEAR(sites[1].q, 3 * (1 - 0), 1e-3);
}

TEST(FedDynTest, HasNoServerLearningRate) {
  EXPECT_THAT(MakeError("feddyn", {}, {.server_learning_rate = 0.5}).message(),
              HasSubstr("leave it at 1"));
}

}  // namespace
}  // namespace tributary::aggregators

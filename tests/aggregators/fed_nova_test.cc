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

SiteUpdate Steps(const std::string& site, float delta, std::int64_t steps,
                 double learning_rate_sum = 0) {
  SiteUpdate update = Sends(site, {delta});
  update.contribution.steps = steps;
  update.contribution.learning_rate_sum = learning_rate_sum;
  return update;
}

float FoldNova(const std::map<std::string, std::string>& options,
               const std::vector<SiteUpdate>& updates) {
  const auto next = RoundHarness({0}).Fold(*MakeStrategy("fednova", options), updates);
  return next.empty() ? NAN : next[0];
}

TEST(FedNovaTest, DividesByLocalSteps) {
  EXPECT_FLOAT_EQ(FoldNova({}, {Steps("a", -1, 1), Steps("b", -3, 3)}), -2);
  EXPECT_FLOAT_EQ(FoldNova({}, {Steps("a", -1, 1), Steps("b", -1.5F, 3)}), -1.5F);
}

TEST(FedNovaTest, EqualStepsAreFedAvg) {
  RoundHarness nova(RandomFloats(99, 3));
  RoundHarness mean(RandomFloats(99, 3));
  std::vector<SiteUpdate> updates = {Sends("a", RandomFloats(99, 1), 3),
                                     Sends("b", RandomFloats(99, 2), 5)};
  for (SiteUpdate& update : updates) update.contribution.steps = 8;
  EXPECT_THAT(nova.Fold(*MakeStrategy("fednova"), updates),
              Pointwise(FloatNear(1e-6), mean.Fold(*MakeStrategy("fedavg"), updates)));
}

// a(E) against a(1) = 1, from the step of two sites: tau D_b / (2 a_b) with D_a = 0.
double EffectiveSteps(const std::map<std::string, std::string>& options, std::int64_t steps,
                      double rate = 0) {
  const double x = FoldNova(
      options, {Steps("a", 0, 1, rate), Steps("b", 1, steps, rate * static_cast<double>(steps))});
  return 1 / (4 * x - 1);  // x = (1 + a) / 2 / (2 a)
}

TEST(FedNovaTest, HeavyBallCountsForMoreSteps) {
  EXPECT_NEAR(EffectiveSteps({{"momentum", "0.9"}}, 1), 1, 1e-5);
  EXPECT_NEAR(EffectiveSteps({{"momentum", "0.9"}}, 2), 2.9, 1e-5);
  EXPECT_NEAR(EffectiveSteps({{"momentum", "0.9"}}, 5), 13.1441, 1e-3);
  EXPECT_NEAR(EffectiveSteps({{"momentum", "0.9"}}, 10), 41.381059609, 1e-2);
}

TEST(FedNovaTest, AProximalTermCountsForFewer) {  // a(3) = 1 + .5 (1 + .5) = 1.75 at l mu = .5
  // tau = mean of E = 2; x = tau (1 / 1.75) / 2
  EXPECT_NEAR(FoldNova({{"mu", "5"}}, {Steps("a", 0, 1, 0.1), Steps("b", 1, 3, 0.3)}), 1 / 1.75,
              1e-6);
  EXPECT_EQ(MakeStrategy("fednova", {{"mu", "5"}})->Directive(1).proximal, 5);
}

TEST(FedNovaTest, MayMeasureWorkByLearningRates) {
  EXPECT_FLOAT_EQ(
      FoldNova({{"steps", "learning-rate"}}, {Steps("a", -1, 7, 0.1), Steps("b", -3, 7, 0.3)}), -2);
}

TEST(FedNovaTest, ASiteWithoutStepsIsLeftOut) {
  EXPECT_FLOAT_EQ(FoldNova({}, {Steps("a", 100, 0), Steps("b", 2, 5)}), 2);
  RoundHarness harness({0});
  EXPECT_THAT(harness.Step(*MakeStrategy("fednova"), {Steps("a", 1, 0)}).message(),
              HasSubstr("no site with a weight made a step"));
}

TEST(FedNovaTest, TheRatioIsCapped) {  // tau = 50.5, a = 1 and 100
  EXPECT_FLOAT_EQ(FoldNova({{"ratio_cap", "2"}}, {Steps("a", 1, 1), Steps("b", 0, 100)}), 1);
}

TEST(FedNovaTest, TheServerMayHaveMomentum) {
  RoundHarness harness({0});
  const auto strategy = MakeStrategy("fednova", {{"server_momentum", "0.5"}});
  EXPECT_FLOAT_EQ(harness.Fold(*strategy, {Steps("a", 1, 4)})[0], 1);
  EXPECT_FLOAT_EQ(harness.Fold(*strategy, {Steps("a", 1, 4)})[0], 2.5F);
}

TEST(FedNovaTest, RefusesRulesThatDoNotGoTogether) {
  EXPECT_THAT(MakeError("fednova", {{"mu", "1"}, {"momentum", "0.9"}}).message(),
              HasSubstr("each define a_k"));
  RoundHarness harness({0});
  EXPECT_THAT(
      harness.Step(*MakeStrategy("fednova", {{"mu", "1"}}), {Steps("a", 1, 2, 4)}).message(),
      HasSubstr("site a: mu times its mean learning rate is 2"));
}

}  // namespace
}  // namespace tributary::aggregators

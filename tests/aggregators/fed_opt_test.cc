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

using Given = std::map<std::string, std::string>;

float Step(const std::string& kind, const Given& options, float delta) {
  return RoundHarness({0}).Fold(*MakeStrategy(kind, options), {Sends("a", {delta})})[0];
}

TEST(FedOptTest, TakesTheStepOfThePaperFromZero) {
  const Given options = {{"v_start", "zero"}, {"learning_rate", "0.1"}};
  EXPECT_NEAR(Step("fedadam", options, 0.02F), 0.0666667, 1e-6);
  EXPECT_NEAR(Step("fedyogi", options, 0.02F), 0.0666667, 1e-6);  // the same in the first round
  EXPECT_NEAR(Step("fedadam", options, -0.02F), -0.0666667, 1e-6);
}

TEST(FedOptTest, VStartsAtTauSquaredInThePaper) {  // .1 * .002 / (sqrt(.99e-6 + 4e-6) + .001)
  EXPECT_NEAR(Step("fedadam", {}, 0.02F), 0.0002 / (std::sqrt(4.99e-6) + 0.001), 1e-6);
}

TEST(FedOptTest, AdagradWithoutTauStepsBySign) {
  RoundHarness harness({0, 0});
  const auto strategy =
      MakeStrategy("fedadagrad", {{"tau", "1e-12"}, {"v_start", "zero"}, {"learning_rate", "0.5"}});
  double x = 0;
  for (int t = 1; t <= 4; ++t) {
    x += 0.5 / std::sqrt(t);
    EXPECT_THAT(harness.Fold(*strategy, {Sends("a", {0.3F, -7})}),
                ElementsAre(FloatNear(static_cast<float>(x), 1e-5),
                            FloatNear(static_cast<float>(-x), 1e-5)));
  }
  EXPECT_FALSE(harness.HasState("m"));  // only v without momentum
}

TEST(FedOptTest, LargeTauIsDampedFedAvgM) {
  for (const std::string kind : {"fedadagrad", "fedadam", "fedyogi"}) {
    RoundHarness harness({0});
    const auto strategy = MakeStrategy(
        kind, {{"tau", "1e8"}, {"learning_rate", "1e8"}, {"beta1", "0.9"}, {"v_start", "zero"}});
    double m = 0;
    double x = 0;
    for (const float delta : {1.0F, -0.5F, 2.0F}) {
      m = 0.9 * m + 0.1 * delta;
      x += m;
      EXPECT_NEAR(harness.Fold(*strategy, {Sends("a", {delta})})[0], x, 1e-5) << kind;
    }
  }
}

TEST(FedOptTest, YogiApproachesTheSquareAndStays) {
  RoundHarness harness({0});
  const auto strategy =
      MakeStrategy("fedyogi", {{"beta1", "0"}, {"beta2", "0.7"}, {"v_start", "zero"}});
  float last = 0;
  for (int t = 1; t <= 10; ++t) {
    harness.Fold(*strategy, {Sends("a", {2})});
    const float v = harness.State("v")[0];
    if (last < 4) {
      EXPECT_NEAR(v, last + 0.3F * 4, 1e-5);
    } else {
      EXPECT_LE(v, 4 + 0.3F * 4);
    }
    last = v;
  }
}

TEST(FedOptTest, FlowersAdamCorrectsItsBias) {
  // Round 1: exponents are 2.
  const double eta = 0.1 * std::sqrt(1 - 0.99 * 0.99) / (1 - 0.81);
  EXPECT_NEAR(Step("fedadam", {{"convention", "flower"}}, 0.02F), eta * 0.002 / (0.002 + 0.001),
              1e-6);
  // Its Yogi does not.
  EXPECT_NEAR(Step("fedyogi", {{"convention", "flower"}, {"learning_rate", "0.1"}}, 0.02F),
              0.0666667, 1e-6);
}

TEST(FedOptTest, OpenFedLlmSquaresTheMomentum) {
  RoundHarness harness({0});
  const auto strategy = MakeStrategy("fedadam", {{"convention", "openfedllm"}});
  double v = 0.99 * 1e-6 + 0.01 * 0.0004;  // m = D at first
  double x = 0.1 * 0.02 / (std::sqrt(v) + 1e-3);
  EXPECT_NEAR(harness.Fold(*strategy, {Sends("a", {0.02F})})[0], x, 1e-6);
  const double m = 0.9 * 0.02 + 0.1 * -0.01;
  v = 0.99 * v + 0.01 * m * m;
  x += 0.1 * m / (std::sqrt(v) + 1e-3);
  EXPECT_NEAR(harness.Fold(*strategy, {Sends("a", {-0.01F})})[0], x, 1e-6);
}

TEST(FedOptTest, TheServerLearningRateMultiplies) {
  const auto strategy =
      MakeStrategy("fedadam", {{"v_start", "zero"}}, {.server_learning_rate = 0.5});
  EXPECT_NEAR(RoundHarness({0}).Fold(*strategy, {Sends("a", {0.02F})})[0], 0.0333333, 1e-6);
}

TEST(FedOptTest, RefusesOtherConventions) {
  EXPECT_THAT(MakeError("fedadam", {{"convention", "papre"}}).message(),
              HasSubstr("did you mean paper?; must be one of paper flower openfedllm"));
}

}  // namespace
}  // namespace tributary::aggregators

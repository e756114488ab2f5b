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

TEST(FedAsyncTest, AFullStepMakesTheSitesModel) {
  const auto strategy = MakeStrategy("fedasync", {{"alpha", "1"}, {"staleness", "constant"}});
  RoundHarness harness({3});
  EXPECT_THAT(harness.Fold(*strategy, {Stale("a", 4, 7)}), ElementsAre(7));
}

TEST(FedAsyncTest, TwoArrivalsMixInClosedForm) {
  const double a = 0.6;
  const double x0 = 1, y1 = 5, y2 = -2;
  const auto strategy = MakeStrategy("fedasync");
  RoundHarness harness({1});
  for (const double y : {y1, y2}) {
    harness.Fold(*strategy, {Stale("s", static_cast<float>(y) - harness.Global()[0], 0)});
  }
  EXPECT_NEAR(harness.Global()[0], (1 - a) * (1 - a) * x0 + a * (1 - a) * y1 + a * y2, 1e-5);
}

TEST(FedAsyncTest, OlderUpdatesMoveLess) {
  const auto step = [](const Given& options, std::int64_t staleness) {
    RoundHarness harness({0});
    harness.input().registered_sites = 4;
    return harness.Fold(*MakeStrategy("fedasync", options), {Stale("a", 1, staleness)})[0];
  };
  EXPECT_FLOAT_EQ(step({}, 3), 0.6F * 0.5F);
  EXPECT_FLOAT_EQ(step({{"staleness", "hinge"}}, 5), 0.6F / 11);
  EXPECT_FLOAT_EQ(step({{"staleness", "constant"}}, 5), 0.6F);
  EXPECT_FLOAT_EQ(step({{"scale", "sites"}}, 0), 0.15F);
}

TEST(FedAsyncTest, SitesMayBeHeldNearTheVersion) {
  EXPECT_EQ(MakeStrategy("fedasync", {{"mu", "0.005"}})->Directive(1).proximal, 0.005);
}

}  // namespace
}  // namespace tributary::aggregators

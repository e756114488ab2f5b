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

TEST(TaskArithmeticTest, AddsUp) {
  RoundHarness harness({1});
  EXPECT_THAT(
      harness.Fold(*MakeStrategy("task-arithmetic"), {Sends("a", {5}, 9), Sends("b", {10})}),
      ElementsAre(7));
}

TEST(TaskArithmeticTest, AScaleOfOneOverKIsTheSoup) {
  const std::vector<SiteUpdate> updates = {Sends("a", RandomFloats(99, 1), 3),
                                           Sends("b", RandomFloats(99, 2), 8)};
  RoundHarness sum(RandomFloats(99, 3));
  RoundHarness soup(RandomFloats(99, 3));
  RoundHarness mean(RandomFloats(99, 3));
  const auto expected = soup.Fold(*MakeStrategy("soup"), updates);
  EXPECT_EQ(sum.Fold(*MakeStrategy("task-arithmetic", {{"scale", "0.5"}}), updates), expected);
  EXPECT_EQ(mean.Fold(*MakeStrategy("fedavg", {}, {.weights = "equal"}), updates), expected);
}

}  // namespace
}  // namespace tributary::aggregators

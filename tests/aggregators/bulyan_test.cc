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

// One parameter, one site for each value.
TEST(BulyanTest, AveragesAroundTheMedianOfWhatKrumPicks) {
  RoundHarness harness({0});
  EXPECT_NEAR(harness.Fold(*MakeStrategy("bulyan"), Scalars({0, 1, 2.1F, 3.5F, 5, 6.2F, 100}))[0],
              2.2, 1e-6);
}

TEST(BulyanTest, WithoutFaultySitesIsTheMean) {
  RoundHarness harness({0});
  EXPECT_FLOAT_EQ(harness.Fold(*MakeStrategy("bulyan", {{"faulty", "0"}}), Scalars({1, 2, 6}))[0],
                  3);
}

TEST(BulyanTest, RefusesTooFewSites) {
  EXPECT_EQ(MakeStrategy("bulyan", {{"faulty", "2"}})->MinSites(), 11);
  RoundHarness harness({0});
  EXPECT_THAT(harness.Step(*MakeStrategy("bulyan"), Scalars({1, 2, 3, 4, 5, 6})).message(),
              HasSubstr("needs at least 7"));
}

}  // namespace
}  // namespace tributary::aggregators

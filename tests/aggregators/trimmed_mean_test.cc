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
float FoldTrimmed(const std::map<std::string, std::string>& options,
                  const std::vector<SiteUpdate>& updates) {
  return RoundHarness({0}).Fold(*MakeStrategy("trimmed-mean", options), updates)[0];
}

TEST(TrimmedMeanTest, DropsTheExtremes) {
  EXPECT_NEAR(FoldTrimmed({{"trim", "0.3"}}, Scalars({0, 1, 2.1F, 3.5F, 5, 100, 101})), 3.533333,
              1e-6);
}

TEST(TrimmedMeanTest, WithoutTrimmingIsTheMean) {
  EXPECT_FLOAT_EQ(FoldTrimmed({{"trim", "0"}, {"faulty", "0"}}, Scalars({1, 2, 6})), 3);
}

TEST(TrimmedMeanTest, AllButOneIsTheMedian) {
  EXPECT_EQ(FoldTrimmed({{"trim", "0.45"}}, Scalars({0, 1, 2.1F, 3.5F, 5, 100, 101})), 3.5F);
}

TEST(TrimmedMeanTest, NeverTrimsFewerThanAreFaulty) {  // floor(.2 * 4) = 0
  RoundHarness harness({0});
  EXPECT_THAT(harness.Step(*MakeStrategy("trimmed-mean"), Scalars({1, 2, 3, 4})).message(),
              HasSubstr("4 updates; this strategy needs at least 5"));
  EXPECT_EQ(MakeStrategy("trimmed-mean", {{"trim", "0.29"}, {"faulty", "29"}})->MinSites(), 100);
  EXPECT_EQ(MakeStrategy("trimmed-mean", {{"trim", "0.45"}, {"faulty", "2"}})->MinSites(), 5);
  EXPECT_THAT(MakeError("trimmed-mean", {{"trim", "0"}}).message(), HasSubstr("drops no site"));
  EXPECT_THAT(MakeError("trimmed-mean", {{"trim", "0.5"}}).message(),
              HasSubstr("\"0.5\" is out of range; must be 0..0.499999"));
}

}  // namespace
}  // namespace tributary::aggregators

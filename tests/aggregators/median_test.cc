#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include "tests/aggregators/round_harness.h"

namespace tributary::aggregators {
namespace {

using testing::ElementsAre;
using testing::FloatNear;
using testing::HasSubstr;
using testing::Pointwise;

// One parameter, one site for each value.
using Given = std::map<std::string, std::string>;

float FoldMedian(const Given& options, const std::vector<SiteUpdate>& updates,
                 AggregatorSection section = {}) {
  return RoundHarness({0}).Fold(*MakeStrategy("median", options, section), updates)[0];
}

TEST(MedianTest, TakesTheMiddle) {
  EXPECT_EQ(FoldMedian({}, Scalars({0, 1, 2.1F, 3.5F, 5, 100, 101})), 3.5F);
  EXPECT_FLOAT_EQ(FoldMedian({}, Scalars({4, 1, 3, 100})), 3.5F);
}

TEST(MedianTest, OfTwoIsTheMean) {
  EXPECT_FLOAT_EQ(FoldMedian({{"faulty", "0"}}, Scalars({1, 2})), 1.5F);
}

TEST(MedianTest, IsThatOfEveryCoordinate) {
  const std::size_t size = 1001;
  for (const std::size_t sites : {3U, 4U, 5U, 8U, 13U, 16U, 17U, 33U}) {
    std::vector<SiteUpdate> updates;
    for (std::size_t k = 0; k < sites; ++k) {
      updates.push_back(Sends("s" + std::to_string(k), RandomFloats(size, 100 + k)));
    }
    const auto next =
        RoundHarness(std::vector<float>(size, 0.0F)).Fold(*MakeStrategy("median"), updates);
    for (std::size_t i = 0; i < size; ++i) {
      std::vector<float> column;
      for (const auto& update : updates) column.push_back(update.tensors[0].values[i]);
      std::sort(column.begin(), column.end());
      const float expected = sites % 2 == 1
                                 ? column[sites / 2]
                                 : 0.5F * column[sites / 2 - 1] + 0.5F * column[sites / 2];
      ASSERT_EQ(next[i], expected) << sites << " " << i;
    }
  }
}

TEST(MedianTest, MovesWithShiftAndScale) {
  std::vector<float> values = {0, 1, 2.1F, 3.5F, 5, 100, 101};
  for (float& value : values) value = 2 * value - 8;
  EXPECT_FLOAT_EQ(FoldMedian({}, Scalars(values)), 2 * 3.5F - 8);
}

TEST(MedianTest, FaultySitesCannotLeaveTheHonestRange) {
  for (const float attack : {-1e30F, 1e30F}) {
    const float x = FoldMedian({{"faulty", "2"}}, Scalars({1, attack, 2, attack, 3}));
    EXPECT_GE(x, 1);
    EXPECT_LE(x, 3);
  }
}

TEST(MedianTest, WeightedTakesTheValueAtHalfOfTheWeight) {
  std::vector<SiteUpdate> updates = Scalars({1, 2, 3});
  updates[2].contribution.samples = 10;
  EXPECT_EQ(FoldMedian({{"weighted", "yes"}}, updates), 3);
  EXPECT_EQ(FoldMedian({{"weighted", "yes"}}, updates, {.weights = "equal"}), 2);
  updates[2].contribution.samples = 2;  // exactly half at the second
  EXPECT_EQ(FoldMedian({{"weighted", "yes"}}, updates), 2);
}

TEST(MedianTest, RefusesTooFewSites) {
  EXPECT_EQ(MakeStrategy("median", {{"faulty", "2"}})->MinSites(), 5);
  RoundHarness harness({0});
  EXPECT_THAT(harness.Step(*MakeStrategy("median"), Scalars({1, 2})).message(),
              HasSubstr("2 updates; this strategy needs at least 3"));
}

}  // namespace
}  // namespace tributary::aggregators

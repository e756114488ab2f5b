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

std::vector<SiteUpdate> Points(const std::vector<std::vector<float>>& points) {
  std::vector<SiteUpdate> updates;
  for (std::size_t k = 0; k < points.size(); ++k) {
    updates.push_back(Sends(std::string(1, static_cast<char>('a' + k)), points[k]));
  }
  return updates;
}

std::vector<float> FoldGeometric(const std::string& iterations,
                                 const std::vector<SiteUpdate>& updates) {
  return RoundHarness(std::vector<float>(updates[0].tensors[0].values.size()))
      .Fold(*MakeStrategy("geometric-median", {{"iterations", iterations}}), updates);
}

TEST(GeometricMedianTest, FindsTheFermatPoint) {
  const auto triangle = Points({{0, 0}, {1, 0}, {0, 1}});
  EXPECT_THAT(FoldGeometric("3", triangle),
              Pointwise(FloatNear(1e-7), {.2376728387597391F, .2376728387597391F}));
  const auto limit = static_cast<float>((3 - std::sqrt(3.0)) / 6);
  EXPECT_THAT(FoldGeometric("200", triangle), Pointwise(FloatNear(1e-7), {limit, limit}));
}

TEST(GeometricMedianTest, OnALineIsTheMiddlePoint) {
  EXPECT_THAT(FoldGeometric("500", Points({{0, 0}, {1, 2}, {2, 4}, {10, 20}, {50, 100}})),
              Pointwise(FloatNear(1e-4), {2.0F, 4.0F}));
}

TEST(GeometricMedianTest, ASiteWithMostOfTheWeightIsTheAnswer) {
  auto updates = Points({{7, -3}, {1, 2}, {2, 9}});
  updates[0].contribution.samples = 5;
  EXPECT_THAT(FoldGeometric("500", updates), Pointwise(FloatNear(1e-4), {7.0F, -3.0F}));
}

TEST(GeometricMedianTest, TheObjectiveNeverIncreases) {
  const std::vector<std::vector<float>> points = {{0, 0}, {5, 1}, {-3, 4}, {2, 2}, {90, -70}};
  double last = HUGE_VAL;
  for (int iterations = 1; iterations < 12; ++iterations) {
    const auto z = FoldGeometric(std::to_string(iterations), Points(points));
    double sum = 0;
    for (const auto& point : points) sum += std::hypot(point[0] - z[0], point[1] - z[1]);
    EXPECT_LE(sum, last + 1e-4);
    last = sum;
  }
}

TEST(GeometricMedianTest, StartingAtADataPointIsNoTrouble) {
  EXPECT_THAT(FoldGeometric("50", Points({{1, 1}, {0, 0}, {2, 2}})),
              Pointwise(FloatNear(1e-4), {1.0F, 1.0F}));
}

}  // namespace
}  // namespace tributary::aggregators

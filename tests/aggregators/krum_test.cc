#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "aggregators/robust_rules.h"
#include "tests/aggregators/round_harness.h"

namespace tributary::aggregators {
namespace {

using testing::ElementsAre;
using testing::FloatNear;
using testing::HasSubstr;
using testing::Pointwise;

// One parameter, one site for each value.
using Given = std::map<std::string, std::string>;
const Given kTwo = {{"faulty", "2"}};

Geometry GeometryOf(const std::vector<double>& values) {
  Geometry geometry{values.size(), {}};
  for (const double x : values) {
    for (const double y : values) geometry.gram.push_back(x * y);
  }
  return geometry;
}

TEST(KrumTest, ScoresAreSumsOfSmallestSquaredDistances) {
  const std::vector<std::size_t> all = {0, 1, 2, 3, 4, 5, 6};
  const auto scores = KrumScores(GeometryOf({0, 1, 2.1, 3.5, 5, 100, 101}), all, 3);
  const std::vector<double> expected = {17.66, 8.46, 7.58, 10.46, 26.66, 18338.25, 18723.25};
  EXPECT_THAT(scores, Pointwise(testing::DoubleNear(1e-9), expected));
}

TEST(KrumTest, TakesTheUpdateInTheThickOfThem) {
  EXPECT_EQ(RoundHarness({0}).Fold(*MakeStrategy("krum", kTwo),
                                   Scalars({0, 1, 2.1F, 3.5F, 5, 100, 101}))[0],
            2.1F);
}

TEST(KrumTest, MultiKrumAveragesTheBest) {
  Given options = kTwo;
  options["select"] = "3";
  EXPECT_NEAR(RoundHarness({0}).Fold(*MakeStrategy("multi-krum", options),
                                     Scalars({0, 1, 2.1F, 3.5F, 5, 100, 101}))[0],
              2.2, 1e-6);
  // All but the faulty: 0, 1, 2.1, 3.5, 5.
  EXPECT_NEAR(RoundHarness({0}).Fold(*MakeStrategy("multi-krum", kTwo),
                                     Scalars({0, 1, 2.1F, 3.5F, 5, 100, 101}))[0],
              11.6 / 5, 1e-6);
}

TEST(KrumTest, DoesNotDependOnRotationOrShift) {
  const std::vector<std::vector<float>> points = {{0, 0}, {1, 0}, {0, 1.1F}, {0.9F, 1}, {30, 4}};
  const auto winner = [&](float angle, float shift) {
    std::vector<SiteUpdate> updates;
    for (std::size_t k = 0; k < points.size(); ++k) {
      const float x = points[k][0], y = points[k][1];
      updates.push_back(Sends(std::string(1, static_cast<char>('a' + k)),
                              {std::cos(angle) * x - std::sin(angle) * y + shift,
                               std::sin(angle) * x + std::cos(angle) * y - shift}));
    }
    const auto next = RoundHarness({0, 0}).Fold(*MakeStrategy("krum"), updates);
    for (std::size_t k = 0; k < points.size(); ++k) {
      if (updates[k].tensors[0].values == next) return k;
    }
    return points.size();
  };
  const std::size_t straight = winner(0, 0);
  EXPECT_LT(straight, 4U);
  EXPECT_EQ(winner(1.1F, 0), straight);
  EXPECT_EQ(winner(0, 5), straight);
}

TEST(KrumTest, TiesGoToTheFirstSite) {
  EXPECT_EQ(RoundHarness({0}).Fold(*MakeStrategy("krum"), Scalars({-1, 1, 1, -1, 1}))[0], 1);
  EXPECT_EQ(RoundHarness({0}).Fold(*MakeStrategy("krum"), Scalars({-1, 1, -1, 1, -1, 1}))[0], -1);
}

TEST(KrumTest, RefusesTooFewSites) {
  EXPECT_EQ(MakeStrategy("krum", kTwo)->MinSites(), 7);
  EXPECT_EQ(MakeStrategy("multi-krum", {{"select", "9"}})->MinSites(), 10);
  RoundHarness harness({0});
  EXPECT_THAT(harness.Step(*MakeStrategy("krum"), Scalars({1, 2, 3, 4})).message(),
              HasSubstr("needs at least 5"));
}

}  // namespace
}  // namespace tributary::aggregators

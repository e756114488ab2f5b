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

TEST(CenteredClipTest, AnOutlierMovesItByTheRadiusAtMost) {
  for (const float outlier : {10.0F, 1e6F}) {
    RoundHarness harness({0});
    EXPECT_THAT(harness.Fold(*MakeStrategy("centered-clip", {{"radius", "1"}}),
                             {Sends("a", {0}), Sends("b", {0}), Sends("c", {outlier})}),
                ElementsAre(FloatNear(1.0F / 3, 1e-6)));
  }
}

TEST(CenteredClipTest, AWideRadiusIsTheMeanAndAZeroOneStays) {
  const std::vector<SiteUpdate> updates = {Sends("a", {1, 5}), Sends("b", {2, -3})};
  RoundHarness wide({0, 0});
  const auto mean = MakeStrategy("centered-clip", {{"radius", "1e30"}});
  for (int round = 1; round <= 2; ++round) {
    EXPECT_THAT(wide.Fold(*mean, updates),
                Pointwise(FloatNear(1e-6),
                          {1.5F * static_cast<float>(round), 1.0F * static_cast<float>(round)}));
  }
  EXPECT_THAT(wide.State("center"), Pointwise(FloatNear(1e-6), {1.5F, 1.0F}));
  // v is kept and applied again.
  EXPECT_THAT(wide.Fold(*MakeStrategy("centered-clip", {{"radius", "0"}}), updates),
              Pointwise(FloatNear(1e-5), {4.5F, 3.0F}));
}

// Against the definition, on the vectors themselves.
TEST(CenteredClipTest, IteratesAsDefined) {
  const std::vector<std::vector<float>> points = {{1, 0}, {0, 2}, {-1, 1}, {50, 80}};
  std::vector<SiteUpdate> updates;
  for (std::size_t k = 0; k < 4; ++k) {
    updates.push_back(Sends(std::string(1, static_cast<char>('a' + k)), points[k]));
  }
  RoundHarness harness({0, 0});
  const auto strategy = MakeStrategy("centered-clip", {{"radius", "1.5"}, {"iterations", "3"}});
  std::vector<double> v = {0, 0};
  std::vector<double> x = {0, 0};
  for (int round = 0; round < 3; ++round) {
    for (int iteration = 0; iteration < 3; ++iteration) {
      std::vector<double> step = {0, 0};
      for (const auto& point : points) {
        const double dx = point[0] - v[0], dy = point[1] - v[1];
        const double scale = std::min(1.0, 1.5 / std::hypot(dx, dy)) / 4;
        step[0] += scale * dx;
        step[1] += scale * dy;
      }
      v[0] += step[0];
      v[1] += step[1];
    }
    x[0] += v[0];
    x[1] += v[1];
    const auto next = harness.Fold(*strategy, updates);
    EXPECT_NEAR(next[0], x[0], 1e-5);
    EXPECT_NEAR(next[1], x[1], 1e-5);
  }
}

}  // namespace
}  // namespace tributary::aggregators

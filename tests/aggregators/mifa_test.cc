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

TEST(MifaTest, WithAllSitesIsFedAvg) {
  RoundHarness mifa(RandomFloats(99, 3));
  RoundHarness mean(RandomFloats(99, 3));
  for (std::uint64_t round = 0; round < 3; ++round) {
    const std::vector<SiteUpdate> updates = {Sends("a", RandomFloats(99, 10 * round + 1), 3),
                                             Sends("b", RandomFloats(99, 10 * round + 2), 5)};
    EXPECT_THAT(mifa.Fold(*MakeStrategy("mifa"), updates),
                Pointwise(FloatNear(1e-6),
                          mean.Fold(*MakeStrategy("fedavg", {}, {.weights = "equal"}), updates)));
  }
}

TEST(MifaTest, AbsentSitesCountWithTheirLastUpdate) {
  RoundHarness harness({0});
  harness.input().registered_sites = 4;
  const auto strategy = MakeStrategy("mifa");
  EXPECT_THAT(harness.Fold(*strategy, {Sends("a", {4}), Sends("b", {8})}), ElementsAre(3));
  EXPECT_THAT(harness.Fold(*strategy, {Sends("b", {0})}), ElementsAre(4));  // 4 of a
  EXPECT_THAT(harness.Fold(*strategy, {Sends("c", {4})}), ElementsAre(6));
  EXPECT_THAT(harness.State("last/a"), ElementsAre(4));
  EXPECT_THAT(harness.State("last/b"), ElementsAre(0));
}

TEST(MifaTest, TheSumIsThatOfTheLastUpdates) {
  RoundHarness harness(RandomFloats(50, 9));
  harness.input().registered_sites = 3;
  const std::vector<std::string> names = {"a", "b", "c"};
  for (std::size_t round = 0; round < 12; ++round) {
    std::vector<SiteUpdate> updates;
    for (std::size_t k = 0; k < 3; ++k) {
      if ((round + k) % 3 != 0) updates.push_back(Sends(names[k], RandomFloats(50, 7 * round + k)));
    }
    harness.Fold(*MakeStrategy("mifa"), updates);
  }
  std::vector<float> sum(50);
  for (const std::string& name : names) {
    const auto last = harness.State("last/" + name);
    for (std::size_t i = 0; i < 50; ++i) sum[i] += last[i];
  }
  EXPECT_THAT(harness.State("sum"), Pointwise(FloatNear(1e-5), sum));
}

}  // namespace
}  // namespace tributary::aggregators

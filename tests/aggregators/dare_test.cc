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

TEST(DareTest, DroppingNothingIsTheSoup) {
  const std::vector<SiteUpdate> updates = {Sends("a", RandomFloats(99, 1)),
                                           Sends("b", RandomFloats(99, 2))};
  RoundHarness dare(RandomFloats(99, 3));
  RoundHarness soup(RandomFloats(99, 3));
  EXPECT_EQ(dare.Fold(*MakeStrategy("dare", {{"drop", "0"}}), updates),
            soup.Fold(*MakeStrategy("soup"), updates));
}

TEST(DareTest, KeptValuesAreScaledUp) {
  const std::size_t size = 100'000;
  const auto delta = RandomFloats(size, 1);
  RoundHarness harness(std::vector<float>(size, 0.0F));
  const auto next = harness.Fold(*MakeStrategy("dare", {{"drop", "0.75"}}), {Sends("a", delta)});
  std::size_t kept = 0;
  for (std::size_t i = 0; i < size; ++i) {
    if (next[i] == 0) continue;
    ++kept;
    ASSERT_EQ(next[i], delta[i] / 0.25F);
  }
  EXPECT_NEAR(static_cast<double>(kept), 25'000, 5 * std::sqrt(size * 0.75 * 0.25));
}

TEST(DareTest, ExpectsTheUpdate) {  // over rounds, each with masks of its own
  RoundHarness harness({0});
  const auto strategy = MakeStrategy("dare", {{"drop", "0.5"}});
  const int rounds = 400;
  for (int round = 0; round < rounds; ++round) harness.Fold(*strategy, {Sends("a", {1})});
  EXPECT_NEAR(harness.Global()[0] / rounds, 1, 5.0 / std::sqrt(rounds));
}

TEST(DareTest, MasksDependOnSeedRoundSiteTensorAndNothingElse) {
  const std::vector<float> ones(200, 1.0F);
  const auto mask = [&](std::uint64_t seed, std::int64_t round, const std::string& site,
                        std::size_t block) {
    RoundHarness harness(std::vector<float>(200, 0.0F));
    harness.input().seed = seed;
    harness.input().number = round;
    harness.input().block = block;
    return harness.Fold(*MakeStrategy("dare", {{"drop", "0.5"}}), {Sends(site, ones)});
  };
  const auto first = mask(1, 1, "a", 0);
  EXPECT_EQ(mask(1, 1, "a", 7), first);
  EXPECT_NE(mask(2, 1, "a", 0), first);
  EXPECT_NE(mask(1, 2, "a", 0), first);
  EXPECT_NE(mask(1, 1, "b", 0), first);
}

TEST(DareTest, MayElectSigns) {
  RoundHarness harness({0, 0});
  EXPECT_THAT(harness.Fold(*MakeStrategy("dare", {{"drop", "0"}, {"then", "ties"}}),
                           {Sends("a", {3, -1}), Sends("b", {-1, -2}), Sends("c", {2, 4})}),
              ElementsAre(2.5F, 4));
}

}  // namespace
}  // namespace tributary::aggregators

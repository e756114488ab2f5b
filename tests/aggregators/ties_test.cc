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

std::vector<float> FoldTies(const Given& options, const std::vector<SiteUpdate>& updates) {
  return RoundHarness(std::vector<float>(updates[0].tensors[0].values.size()))
      .Fold(*MakeStrategy("ties", options), updates);
}

TEST(TiesTest, ElectsSignsAndAveragesTheWinners) {
  EXPECT_THAT(
      FoldTies({{"keep", "1"}}, {Sends("a", {3, -1}), Sends("b", {-1, -2}), Sends("c", {2, 4})}),
      ElementsAre(2.5F, 4));
}

TEST(TiesTest, AZeroSumElectsPlusAndZerosTakeNoPart) {
  EXPECT_THAT(FoldTies({{"keep", "1"}}, {Sends("a", {2, 0, 0}), Sends("b", {-2, 0, 5})}),
              ElementsAre(2, 0, 5));
}

TEST(TiesTest, KeepsTheLargestOfEveryTensor) {
  EXPECT_THAT(FoldTies({{"keep", "0.4"}}, {Sends("a", {1, -5, 2, 4, 3})}),
              ElementsAre(0, -5, 0, 4, 0));
  RoundHarness harness(std::vector<NamedFloats>{{"a", {0, 0}}, {"b", {0, 0}}});
  SiteUpdate update = Sends("s", {});
  update.tensors = {{"a", {100, 200}}, {"b", {1, 2}}};
  ASSERT_EQ(harness.Step(*MakeStrategy("ties", {{"keep", "0.5"}}), {update}), OkStatus());
  EXPECT_THAT(harness.Global("a"), ElementsAre(0, 200));
  EXPECT_THAT(harness.Global("b"), ElementsAre(0, 2));
}

TEST(TiesTest, ScalesTheMergedUpdate) {
  EXPECT_THAT(FoldTies({{"keep", "1"}, {"scale", "0.5"}}, {Sends("a", {4})}), ElementsAre(2));
}

}  // namespace
}  // namespace tributary::aggregators

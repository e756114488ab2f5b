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

std::vector<float> FoldClipped(const Given& options, const std::vector<SiteUpdate>& updates) {
  return RoundHarness(std::vector<float>(updates[0].tensors[0].values.size()))
      .Fold(*MakeStrategy("norm-clip", options), updates);
}

TEST(NormClipTest, ShortensLongUpdates) {
  EXPECT_THAT(FoldClipped({{"clip", "1"}}, {Sends("a", {3, 4})}),
              Pointwise(FloatNear(1e-7), {.6F, .8F}));
}

TEST(NormClipTest, ShortUpdatesKeepTheirBits) {
  const auto delta = RandomFloats(1000, 1);
  EXPECT_EQ(FoldClipped({{"clip", "1000"}}, {Sends("a", delta)}), delta);
  EXPECT_THAT(FoldClipped({{"clip", "1"}}, {Sends("a", {0, 0})}), ElementsAre(0, 0));
}

TEST(NormClipTest, TheResultIsNeverLongerThanTheLimit) {
  std::vector<SiteUpdate> updates;
  for (const char* site : {"a", "b", "c"})
    updates.push_back(Sends(site, RandomFloats(1000, site[0])));
  updates[1].tensors[0].values[3] = 1e6;
  double squares = 0;
  for (const float value : FoldClipped({{"clip", "0.5"}}, updates)) squares += value * value;
  EXPECT_LE(std::sqrt(squares), 0.5 * (1 + 1e-6));
}

TEST(NormClipTest, TheNormIsThatOfAllTensors) {
  RoundHarness harness(std::vector<NamedFloats>{{"a", {0}}, {"b", {0}}});
  SiteUpdate update = Sends("s", {});
  update.tensors = {{"a", {3}}, {"b", {4}}};
  ASSERT_EQ(harness.Step(*MakeStrategy("norm-clip", {{"clip", "1"}}), {update}), OkStatus());
  EXPECT_NEAR(harness.Global("a")[0], 0.6, 1e-7);
  EXPECT_NEAR(harness.Global("b")[0], 0.8, 1e-7);
}

TEST(NormClipTest, TheMedianOfTheNormsIsTheDefault) {
  EXPECT_FLOAT_EQ(FoldClipped({}, {Sends("a", {1}), Sends("b", {-2}), Sends("c", {900})})[0],
                  (1.0F - 2 + 2) / 3);
  EXPECT_FLOAT_EQ(FoldClipped({}, {Sends("a", {1}), Sends("b", {3})})[0], (1.0F + 2) / 2);
}

}  // namespace
}  // namespace tributary::aggregators

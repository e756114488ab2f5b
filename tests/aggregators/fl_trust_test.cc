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

std::vector<float> FoldTrusting(const std::vector<SiteUpdate>& updates) {
  return RoundHarness({0, 0}).Fold(*MakeStrategy("fltrust", {{"root_site", "root"}}), updates);
}

TEST(FlTrustTest, ParallelUpdatesTakeTheRootsLength) {
  for (const float scale : {0.001F, 1.0F, 500.0F}) {
    EXPECT_THAT(FoldTrusting({Sends("root", {3, 4}), Sends("a", {3 * scale, 4 * scale}),
                              Sends("b", {30, 40})}),
                Pointwise(FloatNear(1e-5), {3.0F, 4.0F}));
  }
}

TEST(FlTrustTest, OppositeUpdatesCountNothing) {
  EXPECT_THAT(FoldTrusting({Sends("root", {1, 0}), Sends("a", {-9, 0}), Sends("b", {2, 0})}),
              Pointwise(FloatNear(1e-6), {1.0F, 0.0F}));
}

TEST(FlTrustTest, CountsByTheCosine) {  // 45 degrees: .7071; weights 1 and .7071
  const auto cos = static_cast<float>(std::sqrt(0.5));
  EXPECT_THAT(FoldTrusting({Sends("root", {1, 0}), Sends("a", {5, 0}), Sends("b", {2, 2})}),
              Pointwise(FloatNear(1e-6), {(1 + cos * cos) / (1 + cos), cos * cos / (1 + cos)}));
}

TEST(FlTrustTest, NobodyTrustedIsNoStep) {
  EXPECT_THAT(FoldTrusting({Sends("root", {1, 0}), Sends("a", {-1, 0}), Sends("b", {0, 0})}),
              ElementsAre(0, 0));
  EXPECT_THAT(FoldTrusting({Sends("root", {0, 0}), Sends("a", {-1, 0})}), ElementsAre(0, 0));
}

TEST(FlTrustTest, NeedsItsRoot) {
  EXPECT_THAT(MakeError("fltrust").message(), HasSubstr("options.root_site is required"));
  RoundHarness harness({0});
  EXPECT_THAT(harness
                  .Step(*MakeStrategy("fltrust", {{"root_site", "root"}}),
                        {Sends("a", {1}), Sends("b", {1})})
                  .message(),
              HasSubstr("no update of the trusted site root"));
}

}  // namespace
}  // namespace tributary::aggregators

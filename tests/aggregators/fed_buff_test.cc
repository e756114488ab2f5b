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

float FoldBuffer(const Given& options, const std::vector<SiteUpdate>& updates) {
  return RoundHarness({0}).Fold(*MakeStrategy("fedbuff", options), updates)[0];
}

TEST(FedBuffTest, AFreshFullBufferIsTheMean) {
  RoundHarness buffer(RandomFloats(99, 3));
  RoundHarness mean(RandomFloats(99, 3));
  const std::vector<SiteUpdate> updates = {Sends("a", RandomFloats(99, 1), 3),
                                           Sends("b", RandomFloats(99, 2), 5)};
  EXPECT_EQ(buffer.Fold(*MakeStrategy("fedbuff"), updates),
            mean.Fold(*MakeStrategy("fedavg", {}, {.weights = "equal"}), updates));
}

TEST(FedBuffTest, ABufferOfOneIsPureDelta) { EXPECT_EQ(FoldBuffer({}, {Stale("a", 5, 0)}), 5); }

TEST(FedBuffTest, OlderUpdatesCountLessAndTheStepShrinks) {
  EXPECT_FLOAT_EQ(FoldBuffer({}, {Stale("a", 1, 3), Stale("b", 1, 0)}), 0.75F);
  EXPECT_FLOAT_EQ(FoldBuffer({{"normalise", "yes"}}, {Stale("a", 1, 3), Stale("b", 1, 0)}), 1);
  EXPECT_FLOAT_EQ(FoldBuffer({{"normalise", "yes"}}, {Stale("a", 3, 3), Stale("b", 0, 0)}), 1);
}

TEST(FedBuffTest, APartOfABufferStepsLess) {
  EXPECT_FLOAT_EQ(FoldBuffer({{"buffer", "10"}}, {Stale("a", 5, 0)}), 0.5F);
}

TEST(FedBuffTest, AnUpdateThatIsTooOldDoesNotCount) {
  EXPECT_FLOAT_EQ(FoldBuffer({{"max_staleness", "2"}}, {Stale("a", 4, 3), Stale("b", 1, 0)}), 0.5F);
}

}  // namespace
}  // namespace tributary::aggregators

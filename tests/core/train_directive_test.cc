#include "core/train_directive.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace tributary {
namespace {

using testing::ElementsAre;

TEST(TrainedRanksTest, TheFirstOnesByDefault) {
  EXPECT_THAT(TrainedRanks(RankChoice::kFirst, 8, 3, 1), ElementsAre(0, 1, 2));
  EXPECT_EQ(TrainedRanks(RankChoice::kFirst, 4, 9, 1).size(), 4u);
}

TEST(TrainedRanksTest, SeededChoicesAreAscendingAndCoverAllRanksInTime) {
  std::set<std::int64_t> seen;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    const auto ranks = TrainedRanks(RankChoice::kSeeded, 8, 3, seed);
    ASSERT_EQ(ranks.size(), 3u);
    EXPECT_LT(ranks[0], ranks[1]);
    EXPECT_LT(ranks[1], ranks[2]);
    EXPECT_LT(ranks[2], 8);
    EXPECT_EQ(ranks, TrainedRanks(RankChoice::kSeeded, 8, 3, seed));
    seen.insert(ranks.begin(), ranks.end());
  }
  EXPECT_EQ(seen.size(), 8u);
}

TEST(TrainedManifestTest, CutsFactorsByNameAndNothingElse) {
  const Manifest global = {{"head.weight", DType::kF32, {8, 8}},
                           {"m.lora_A.weight", DType::kF32, {8, 8}},
                           {"m.lora_B.weight", DType::kF32, {8, 8}}};
  const Manifest trained = TrainedManifest(global, 2);
  EXPECT_THAT(trained[0].shape, ElementsAre(8, 8));
  EXPECT_THAT(trained[1].shape, ElementsAre(2, 8));
  EXPECT_THAT(trained[2].shape, ElementsAre(8, 2));
}

TEST(UpdateManifestTest, LeavesOutWhatStaysAndDoublesForControlVariates) {
  const Manifest trained = {{"m.lora_A.weight", DType::kF32, {2, 8}},
                            {"m.lora_B.weight", DType::kF32, {8, 2}}};
  const auto names = [&](const TrainDirective& directive) {
    std::vector<std::string> result;
    for (const TensorSpec& spec : UpdateManifest(trained, directive)) result.push_back(spec.name);
    return result;
  };
  TrainDirective directive;
  EXPECT_THAT(names(directive), ElementsAre("m.lora_A.weight", "m.lora_B.weight"));
  directive.frozen = FrozenFactor::kB;
  EXPECT_THAT(names(directive), ElementsAre("m.lora_A.weight"));
  directive.frozen = FrozenFactor::kA;
  EXPECT_THAT(names(directive), ElementsAre("m.lora_B.weight"));
  directive = {};
  directive.keep_b_local = true;
  EXPECT_THAT(names(directive), ElementsAre("m.lora_A.weight"));
  directive = {};
  directive.offset = GradientOffset::kControlVariate;
  EXPECT_THAT(names(directive), ElementsAre("m.lora_A.weight", "m.lora_B.weight",
                                            "second.m.lora_A.weight", "second.m.lora_B.weight"));
}

}  // namespace
}  // namespace tributary

// What holds for every LoRA strategy, and what its capabilities promise.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/aggregators/lora/sample_round.h"

namespace tributary::aggregators {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class LoraContractTest : public testing::TestWithParam<const Strategy*> {
 protected:
  const Strategy& strategy() const { return *GetParam(); }
  const std::unique_ptr<Aggregator> aggregator_ = Make(strategy());
};

bool Collapses(const Strategy& strategy) {
  return strategy.kind == "zero-pad" || strategy.kind == "flexlora" || strategy.kind == "hetlora";
}

TEST_P(LoraContractTest, DescribesItself) {
  EXPECT_EQ(strategy().family, "lora");
  EXPECT_FALSE(strategy().summary.empty());
  EXPECT_TRUE(strategy().capabilities.lora_only);
  EXPECT_TRUE(strategy().experimental || strategy().paper.starts_with("arXiv:"));
  for (const OptionSpec& option : strategy().options) EXPECT_FALSE(option.meaning.empty());
  EXPECT_EQ(aggregator_->MinSites(), strategy().capabilities.min_sites);
}

TEST_P(LoraContractTest, NoTrainingChangesNoProduct) {  // U1
  for (const std::int64_t number : {1, 2}) {
    MemoryRound round = SampleRound(*aggregator_, {.drift = 0}, number);
    ASSERT_TRUE(aggregator_->Fold(round).ok());
    EXPECT_LT((After(round) - Before(round)).Norm(), kFloat) << number;
    EXPECT_NEAR(round.results[0].dropped_energy, 0, 1e-9);
  }
}

TEST_P(LoraContractTest, NoTrainingOfAFreshAdapterMergesNothing) {
  MemoryRound round = SampleRound(*aggregator_, {.drift = 0, .zero_b = true});
  ASSERT_TRUE(aggregator_->Fold(round).ok());
  EXPECT_EQ(After(round).Norm(), 0);
  EXPECT_EQ(round.results[0].merged.rank, 0);
}

TEST(LoraStrategiesTest, NoTrainingChangesNoProductWithMixedRanks) {  // C.0.4
  for (const Strategy* strategy : LoraStrategies()) {
    if (!strategy->capabilities.mixed_ranks || Collapses(*strategy)) continue;
    const auto aggregator = Make(*strategy);
    MemoryRound round = SampleRound(*aggregator, {.site_ranks = {1, 2, 4}, .drift = 0});
    ASSERT_TRUE(aggregator->Fold(round).ok());
    EXPECT_LT((After(round) - Before(round)).Norm(), kFloat) << strategy->kind;
  }
}

TEST_P(LoraContractTest, IdenticalSitesCountAsOne) {  // U2
  MemoryRound many = SampleRound(*aggregator_, {});
  for (Factors& site : many.modules[0].sites) site = many.modules[0].sites[0];
  MemoryRound one = many;
  one.sites.resize(1);
  one.modules[0].sites.resize(1);
  ASSERT_TRUE(aggregator_->Fold(many).ok());
  ASSERT_TRUE(aggregator_->Fold(one).ok());
  EXPECT_LT((After(many) - After(one)).Norm(), kFloat);
}

TEST_P(LoraContractTest, TheUnitOfWeightsDoesNotMatter) {  // U4
  MemoryRound one = SampleRound(*aggregator_, {.samples = {1, 2, 5}});
  MemoryRound two = SampleRound(*aggregator_, {.samples = {8, 16, 40}});
  ASSERT_TRUE(aggregator_->Fold(one).ok());
  ASSERT_TRUE(aggregator_->Fold(two).ok());
  EXPECT_EQ(one.results[0].next.a, two.results[0].next.a);
  EXPECT_EQ(one.results[0].next.b, two.results[0].next.b);
}

TEST_P(LoraContractTest, SameRoundSameBits) {
  MemoryRound one = SampleRound(*aggregator_, {});
  MemoryRound two = SampleRound(*aggregator_, {});
  ASSERT_TRUE(aggregator_->Fold(one).ok());
  ASSERT_TRUE(Make(strategy())->Fold(two).ok());
  EXPECT_EQ(one.results[0].next.a, two.results[0].next.a);
  EXPECT_EQ(one.results[0].next.b, two.results[0].next.b);
  EXPECT_EQ(one.results[0].merged.a, two.results[0].merged.a);
}

TEST_P(LoraContractTest, IsExactWhereItSaysSo) {
  for (const std::int64_t number : {1, 2}) {
    MemoryRound round = SampleRound(*aggregator_, {}, number);
    ASSERT_TRUE(aggregator_->Fold(round).ok());
    const double error = (After(round) - MeanOfSites(round, false)).Norm();
    if (strategy().capabilities.equal_ranks_exact) {
      EXPECT_LT(error, kFloat) << number;
    } else if (!strategy().capabilities.personalised) {
      EXPECT_GT(error, 1e-3) << number;  // a promise not made: it must not hold by accident
    }
  }
}

TEST_P(LoraContractTest, KeepsTheGlobalRank) {
  const bool mixed = strategy().capabilities.mixed_ranks;
  const std::vector<std::int64_t> ranks =
      mixed ? std::vector<std::int64_t>{1, 3, 4} : std::vector<std::int64_t>{4, 4, 4};
  MemoryRound round = SampleRound(*aggregator_, {.site_ranks = ranks, .zero_b = true});
  ASSERT_TRUE(aggregator_->Fold(round).ok());
  const Factors& next = round.results[0].next;
  EXPECT_EQ(next.rank, 4);
  EXPECT_EQ(next.a.size(), 4U * 11);
  EXPECT_EQ(next.b.size(), 4U * 13);
}

TEST_P(LoraContractTest, EveryRankStaysTrainable) {
  for (const bool fresh : {true, false}) {
    MemoryRound round = SampleRound(*aggregator_, {.site_ranks = {4}, .drift = 0, .zero_b = fresh});
    ASSERT_TRUE(aggregator_->Fold(round).ok());
    const Matrix a = DenseA(round.results[0].next.View());
    for (std::int64_t j = 0; j < 4; ++j) {
      double square = 0;
      for (std::int64_t i = 0; i < a.cols; ++i) square += a(j, i) * a(j, i);
      EXPECT_GT(square, 0) << j;
    }
  }
}

TEST_P(LoraContractTest, RefusesMixedRanksThatItDoesNotSupport) {
  MemoryRound round = SampleRound(*aggregator_, {.site_ranks = {4, 2, 4}});
  const Status status = aggregator_->Fold(round);
  if (strategy().capabilities.mixed_ranks) {
    EXPECT_TRUE(status.ok()) << status;
    return;
  }
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(
      status.message(),
      AllOf(HasSubstr("module m"), HasSubstr("site b trained 2 of 4 ranks"), HasSubstr("raflora")));
}

TEST_P(LoraContractTest, OtherTensorsGetAWeightedMean) {
  MemoryRound round = SampleRound(*aggregator_, {.site_ranks = {4, 4}, .samples = {1, 3}});
  round.tensors = {{"head", {1, 2}, {{4, 0}, {0, 8}}}};
  if (strategy().kind == "hetlora") round.modules[0].sites[1] = round.modules[0].sites[0];
  ASSERT_TRUE(aggregator_->Fold(round).ok());
  const bool by_norm = strategy().kind == "hetlora";  // equal norms: one half each
  EXPECT_THAT(round.tensors[0].global,
              by_norm ? testing::ElementsAre(3, 6) : testing::ElementsAre(2, 8));
}

TEST(LoraStrategiesTest, AllWeightsZeroIsAnError) {
  for (const Strategy* strategy : LoraStrategies()) {
    if (!strategy->capabilities.uses_weights) continue;
    const auto aggregator = Make(*strategy);
    MemoryRound round = SampleRound(*aggregator, {.samples = {0, 0, 0}});
    EXPECT_EQ(aggregator->Fold(round).code(), StatusCode::kInvalidArgument) << strategy->kind;
  }
}

TEST_P(LoraContractTest, WithoutAScaleThereIsNoProduct) {
  MemoryRound round = SampleRound(*aggregator_, {.scale = 0});
  EXPECT_THAT(aggregator_->Fold(round).message(), HasSubstr("the LoRA scale is 0"));
}

INSTANTIATE_TEST_SUITE_P(All, LoraContractTest, testing::ValuesIn(LoraStrategies()),
                         [](const auto& info) {
                           std::string name(info.param->kind);
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace tributary::aggregators

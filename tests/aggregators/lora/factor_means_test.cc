// Strategies that average factors: what they lose, and when they do not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/aggregators/lora/sample_round.h"

namespace tributary::aggregators {
namespace {

using testing::ElementsAre;

// Two sites whose factors are the scalars (B, A) = (1, 1) and (-1, -1).
MemoryRound OppositeScalars() {
  MemoryRound round;
  round.sites = {Site("a", 1), Site("b", 1)};
  round.modules = {{.name = "m", .out = 1, .in = 1, .scale = 1, .global = {1, {1}, {0}}}};
  round.modules[0].sites = {{1, {1}, {1}}, {1, {-1}, {-1}}};
  return round;
}

TEST(FedItTest, LosesTheWholeProductOfOppositeFactors) {  // C.1: product mean 1, FedIT 0
  MemoryRound round = OppositeScalars();
  EXPECT_EQ(MeanOfSites(round, false)(0, 0), 1);
  EXPECT_EQ(Folded(FedItStrategy(), round)(0, 0), 0);
  EXPECT_EQ(Folded(FedExLoraStrategy(), round)(0, 0), 1);
  EXPECT_EQ(Folded(FloraStrategy(), round)(0, 0), 1);
  EXPECT_EQ(Folded(FlexLoraStrategy(), round)(0, 0), 1);
}

TEST(FedItTest, ErrorIsTheCrossCovarianceOfTheFactors) {  // C.0.4
  MemoryRound round =
      SampleRound(*Make(FedItStrategy()), {.site_ranks = {4, 4, 4}, .out = 30, .in = 25});
  const Matrix error = MeanOfSites(round, false) - Folded(FedItStrategy(), round);
  const FactorView mean = round.results[0].next.View();
  const std::vector<double> weights = Weights(round);
  Matrix covariance = Matrix::Zero(30, 25);
  for (std::size_t k = 0; k < 3; ++k) {
    const FactorView site = round.modules[0].sites[k].View();
    covariance += 2 * weights[k] * ((DenseB(site) - DenseB(mean)) * (DenseA(site) - DenseA(mean)));
  }
  EXPECT_LT((error - covariance).Norm(), kFloat);
  const std::vector<double> sigma = SingularValues(covariance);
  EXPECT_GT(sigma[7], 1e-3);  // rank (K - 1) r = 8
  EXPECT_LT(sigma[8], 1e-6);
}

TEST(FedItTest, ACommonAMakesItExact) {
  MemoryRound round = SampleRound(*Make(FfaLoraStrategy()), {});
  const Matrix mean = MeanOfSites(round, false);
  EXPECT_LT((Folded(FedItStrategy(), round) - mean).Norm(), kFloat);
}

TEST(FedItTest, ServerLearningRateScalesTheStepOfTheFactors) {
  AggregatorSection section;
  section.kind = "fedit";
  section.server_learning_rate = 0.5;
  MemoryRound round = OppositeScalars();
  round.modules[0].sites[1] = round.modules[0].sites[0];
  const auto half = FedItStrategy().make(section, *Options::Read({}, {}));
  ASSERT_TRUE((*half)->Fold(round).ok());
  EXPECT_THAT(round.results[0].next.b, ElementsAre(0.5F));
}

TEST(FedItTest, IsAGaugeDependentMean) {  // the same products, another basis, another result
  MemoryRound round = SampleRound(*Make(FedItStrategy()), {});
  const Matrix one = Folded(FedItStrategy(), round);
  const Matrix exact = Folded(FedExLoraStrategy(), round);
  Factors& site = round.modules[0].sites[1];
  for (float& value : site.a) value *= -1;
  for (float& value : site.b) value *= -1;
  EXPECT_GT((Folded(FedItStrategy(), round) - one).Norm(), 0.1);
  EXPECT_LT((Folded(FedExLoraStrategy(), round) - exact).Norm(), kFloat);
}

TEST(RblaTest, ARankIsTheMeanOfTheSitesThatHaveIt) {
  MemoryRound round;
  round.sites = {Site("a", 1, {0}), Site("b", 3, {0, 1})};
  round.modules = {
      {.name = "m", .out = 1, .in = 1, .scale = 1, .global = {3, {0, 0, 7}, {0, 0, 7}}}};
  round.modules[0].sites = {{1, {4}, {8}}, {2, {8, 5}, {4, 6}}};
  Folded(RblaStrategy(), round);
  EXPECT_THAT(round.results[0].next.a, ElementsAre(7, 5, 7));
  EXPECT_THAT(round.results[0].next.b, ElementsAre(5, 6, 7));
  Folded(ZeroPadStrategy(), round);
  EXPECT_THAT(round.results[0].next.a, ElementsAre(7, 3.75, 0));
}

TEST(FedPLoraTest, SitesDrawTheirRanksAndFoldTheOthers) {
  const TrainDirective directive = Make(FedPLoraStrategy())->Directive(1);
  EXPECT_EQ(directive.ranks, RankChoice::kSeeded);
  EXPECT_TRUE(directive.fold_untrained_ranks);
}

TEST(FedPLoraTest, WithAllRanksEverywhereIsFedIt) {
  MemoryRound round = SampleRound(*Make(FedPLoraStrategy()), {});
  Folded(FedPLoraStrategy(), round);
  const Factors one = round.results[0].next;
  Folded(FedItStrategy(), round);
  EXPECT_EQ(one.a, round.results[0].next.a);
  EXPECT_EQ(one.b, round.results[0].next.b);
}

TEST(FedPLoraTest, RanksThatNobodyDrewStay) {
  const auto aggregator = Make(FedPLoraStrategy());
  MemoryRound round = SampleRound(*aggregator, {.site_ranks = {1, 1}, .rank = 6});
  ASSERT_TRUE(aggregator->Fold(round).ok());
  const Factors& next = round.results[0].next;
  std::int64_t same = 0;
  for (std::size_t j = 0; j < 6; ++j) {
    same += std::equal(next.a.begin() + j * 11, next.a.begin() + (j + 1) * 11,
                       round.modules[0].global.a.begin() + j * 11);
  }
  EXPECT_GE(same, 4);
  EXPECT_LT(same, 6);
}

TEST(FfaLoraTest, NeverLeavesTheRowSpaceOfA) {
  const auto aggregator = Make(FfaLoraStrategy());
  EXPECT_EQ(aggregator->Directive(3).frozen, FrozenFactor::kA);
  MemoryRound round = SampleRound(*aggregator, {.site_ranks = {1, 2, 4}});
  ASSERT_TRUE(aggregator->Fold(round).ok());
  EXPECT_EQ(round.results[0].next.a, round.modules[0].global.a);
  const Matrix after = After(round);
  const Matrix projector = RowProjector(DenseA(round.modules[0].global.View()));
  EXPECT_LT((after * projector - after).Norm(), kFloat);
}

TEST(RoLoraTest, TakesTurnsBeginningWithB) {
  const auto aggregator = Make(RoLoraStrategy());
  EXPECT_EQ(aggregator->Directive(1).frozen, FrozenFactor::kA);
  EXPECT_EQ(aggregator->Directive(2).frozen, FrozenFactor::kB);
  EXPECT_EQ(aggregator->Directive(3).frozen, FrozenFactor::kA);
  const auto slow = Make(RoLoraStrategy(), {{"phase_length", "2"}});
  EXPECT_EQ(slow->Directive(2).frozen, FrozenFactor::kA);
  EXPECT_EQ(slow->Directive(3).frozen, FrozenFactor::kB);
  EXPECT_EQ(slow->Directive(5).frozen, FrozenFactor::kA);
}

TEST(RoLoraTest, TheRestingFactorStays) {
  const auto aggregator = Make(RoLoraStrategy());
  MemoryRound odd = SampleRound(*aggregator, {}, 1), even = SampleRound(*aggregator, {}, 2);
  ASSERT_TRUE(aggregator->Fold(odd).ok() && aggregator->Fold(even).ok());
  EXPECT_EQ(odd.results[0].next.a, odd.modules[0].global.a);
  EXPECT_NE(odd.results[0].next.b, odd.modules[0].global.b);
  EXPECT_EQ(even.results[0].next.b, even.modules[0].global.b);
  EXPECT_NE(even.results[0].next.a, even.modules[0].global.a);
}

TEST(FedSaLoraTest, OnlyATravels) {
  const auto aggregator = Make(FedSaLoraStrategy());
  EXPECT_TRUE(aggregator->Directive(1).keep_b_local);
  EXPECT_TRUE(FedSaLoraStrategy().capabilities.personalised);
  EXPECT_TRUE(FedSaLoraStrategy().capabilities.site_state);
  MemoryRound round = SampleRound(*aggregator, {});
  ASSERT_TRUE(aggregator->Fold(round).ok());
  EXPECT_EQ(round.results[0].next.b, round.modules[0].global.b);
  const std::vector<double> weights = Weights(round);
  Matrix mean = Matrix::Zero(4, 11);
  for (std::size_t k = 0; k < 3; ++k) {
    mean += weights[k] * DenseA(round.modules[0].sites[k].View());
  }
  EXPECT_LT((DenseA(round.results[0].next.View()) - mean).Norm(), 1e-6);
}

TEST(FedSbTest, TheMeanOfTheMiddleMatricesIsExact) {
  const auto aggregator = Make(FedSbStrategy());
  EXPECT_EQ(aggregator->Directive(1).frozen, FrozenFactor::kBoth);
  MemoryRound round = SampleRound(*aggregator, {.site_ranks = {4, 4}, .samples = {1, 3}});
  const Matrix c = Matrix::Random(4, 4, 5), d1 = Matrix::Random(4, 4, 6),
               d2 = Matrix::Random(4, 4, 7);
  const auto floats = [](const Matrix& m) {
    return std::vector<float>(m.values.begin(), m.values.end());
  };
  round.tensors = {{"m.lora_C.weight", floats(c), {floats(d1), floats(d2)}}};
  ASSERT_TRUE(aggregator->Fold(round).ok());
  const FactorView fixed = round.results[0].next.View();
  EXPECT_EQ(round.results[0].next.a, round.modules[0].global.a);
  EXPECT_EQ(round.results[0].next.b, round.modules[0].global.b);
  const Matrix next{4, 4, {round.tensors[0].global.begin(), round.tensors[0].global.end()}};
  const Matrix mean = 0.25 * (DenseB(fixed) * (c + d1) * DenseA(fixed)) +
                      0.75 * (DenseB(fixed) * (c + d2) * DenseA(fixed));
  EXPECT_LT((DenseB(fixed) * next * DenseA(fixed) - mean).Norm(), kFloat);
}

TEST(HetLoraTest, EqualNormsAndRanksAreFedIt) {
  MemoryRound round =
      SampleRound(*Make(HetLoraStrategy()), {.site_ranks = {4, 4}, .samples = {5, 5}});
  round.modules[0].sites[1] = round.modules[0].sites[0];
  for (float& value : round.modules[0].sites[1].b) value *= -1;
  const Matrix het = Folded(HetLoraStrategy(), round);
  EXPECT_LT((het - Folded(FedItStrategy(), round)).Norm(), kFloat);
}

// One-by-one modules: a site's norm is |b|.
MemoryRound ScalarSites(const std::vector<float>& b) {
  MemoryRound round;
  round.modules = {{.name = "m", .out = 1, .in = 1, .scale = 1, .global = {1, {1}, {0}}}};
  for (std::size_t k = 0; k < b.size(); ++k) {
    round.sites.push_back(Site(std::string(1, static_cast<char>('a' + k)), 1));
    round.modules[0].sites.push_back({1, {1}, {b[k]}});
  }
  return round;
}

TEST(HetLoraTest, WeighsByTheNormOfTheProduct) {
  MemoryRound round = ScalarSites({1, 3});
  EXPECT_NEAR(Folded(HetLoraStrategy(), round, {{"max_share", "1"}})(0, 0), 0.25 * 1 + 0.75 * 3,
              1e-6);
}

TEST(HetLoraTest, NormsAreThoseOfTheWholeAdapter) {
  MemoryRound round = ScalarSites({1, 3});
  round.modules.push_back(round.modules[0]);
  std::swap(round.modules[1].sites[0], round.modules[1].sites[1]);
  EXPECT_NEAR(Folded(HetLoraStrategy(), round, {{"max_share", "1"}})(0, 0), 2, 1e-6);
}

TEST(HetLoraTest, NoSiteExceedsItsShare) {
  MemoryRound round = ScalarSites({1, 1, 1, 1000});
  EXPECT_NEAR(Folded(HetLoraStrategy(), round, {{"max_share", "0.4"}})(0, 0), 0.6 * 1 + 0.4 * 1000,
              1e-3);
  MemoryRound pair = ScalarSites({1, 1000});  // two sites cannot have less than one half each
  EXPECT_NEAR(Folded(HetLoraStrategy(), pair, {{"max_share", "0.4"}})(0, 0), 500.5, 1e-3);
}

TEST(HetLoraTest, WithoutNormsTheCampaignsWeightsDecide) {
  MemoryRound round = ScalarSites({0, 0});
  round.sites[1].samples = 3;
  round.modules[0].sites[1].a[0] = 5;
  Folded(HetLoraStrategy(), round);
  EXPECT_THAT(round.results[0].next.a, ElementsAre(4));
}

}  // namespace
}  // namespace tributary::aggregators

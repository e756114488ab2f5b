// Strategies that work on the mean of products.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/aggregators/lora/sample_round.h"

namespace tributary::aggregators {
namespace {

using testing::HasSubstr;

const std::vector<std::int64_t> kMixed = {1, 2, 4};

MemoryRound Sampled(const Strategy& strategy, const Sample& sample = {}) {
  return SampleRound(*Make(strategy), sample);
}

double Energy(const std::vector<double>& sigma, std::size_t begin) {
  double sum = 0;
  for (std::size_t j = begin; j < sigma.size(); ++j) sum += sigma[j] * sigma[j];
  return sum;
}

TEST(FloraTest, MergesTheSumOfProductsForAnyRanks) {
  MemoryRound round = Sampled(FloraStrategy(), {.site_ranks = kMixed, .zero_b = true});
  const Matrix mean = MeanOfSites(round, false);
  EXPECT_LT((Folded(FloraStrategy(), round) - mean).Norm(), kFloat);
  EXPECT_EQ(round.results[0].merged.rank, 1 + 2 + 4);
  for (const float value : round.results[0].next.b) EXPECT_EQ(value, 0);
}

TEST(FloraTest, OneSiteMergesItsOwnAdapter) {
  MemoryRound round = Sampled(FloraStrategy(), {.site_ranks = {4}});
  const Matrix own = 2 * Product(round.modules[0].sites[0]);
  EXPECT_LT((Folded(FloraStrategy(), round) - own).Norm(), kFloat);
}

TEST(FloraTest, FreshAHasItsOwnSeedPerRoundAndModule) {
  MemoryRound round = Sampled(FloraStrategy());
  round.modules.push_back(round.modules[0]);
  round.modules[1].name = "n";
  Folded(FloraStrategy(), round);
  const std::vector<float> first = round.results[0].next.a;
  EXPECT_NE(first, round.results[1].next.a);
  for (const float value : first) EXPECT_LE(std::abs(value), 1 / std::sqrt(11.0));
  round.at_round = 2;
  Folded(FloraStrategy(), round);
  EXPECT_NE(first, round.results[0].next.a);
  round.at_round = 1;
  round.campaign_seed += 1;
  Folded(FloraStrategy(), round);
  EXPECT_NE(first, round.results[0].next.a);
}

TEST(FloraTest, ATrainedFirstAdapterIsMergedWhole) {
  MemoryRound round = Sampled(FloraStrategy(), {.site_ranks = kMixed});
  EXPECT_LT((Folded(FloraStrategy(), round) - MeanOfSites(round, true)).Norm(), kFloat);
}

TEST(FloraTest, MergedRankKeepsTheLargestAndLogsTheRest) {
  MemoryRound round = Sampled(FloraStrategy());
  const Matrix mean = MeanOfSites(round, false);
  const std::vector<double> sigma = SingularValues(mean);
  const Matrix after = Folded(FloraStrategy(), round, {{"merged_rank", "5"}});
  EXPECT_EQ(round.results[0].merged.rank, 5);
  EXPECT_NEAR((after - mean).Norm(), std::sqrt(Energy(sigma, 5)), kFloat);
  EXPECT_NEAR(round.results[0].dropped_energy, Energy(sigma, 5), 1e-5);
}

TEST(FlexLoraTest, IsTheTruncatedMeanProduct) {
  for (const char* split : {"symmetric", "left", "right"}) {
    MemoryRound round = Sampled(FlexLoraStrategy());
    const Matrix mean = MeanOfSites(round, false);
    const std::vector<double> sigma = SingularValues(mean);
    const Matrix after = Folded(FlexLoraStrategy(), round, {{"split", split}});
    EXPECT_NEAR((after - mean).Norm(), std::sqrt(Energy(sigma, 4)), kFloat) << split;
    EXPECT_NEAR(round.results[0].dropped_energy, Energy(sigma, 4), 1e-4);
  }
}

TEST(FlexLoraTest, ACommonSubspaceIsExact) {  // all products in one space of dimension 4
  MemoryRound round = Sampled(FlexLoraStrategy());
  const Factors basis = round.modules[0].global;
  for (std::size_t k = 0; k < 3; ++k) {
    const Matrix mix = Matrix::Random(4, 4, k);
    round.modules[0].sites[k] = ToFactors(DenseB(basis.View()) * mix, DenseA(basis.View()));
  }
  const Matrix mean = MeanOfSites(round, false);
  EXPECT_LT((Folded(FlexLoraStrategy(), round) - mean).Norm(), kFloat);
}

TEST(FlexLoraTest, OrdersRanksForSitesWithFewer) {
  MemoryRound round = Sampled(FlexLoraStrategy());
  Folded(FlexLoraStrategy(), round);
  const Factors& next = round.results[0].next;
  double last = std::numeric_limits<double>::infinity();
  for (std::int64_t j = 0; j < 4; ++j) {
    const double norm = Product(TakeRanks(next, {j}, 13, 11)).Norm();
    EXPECT_LT(norm, last);
    last = norm;
  }
}

TEST(FlexLoraTest, HasNoServerLearningRate) {
  AggregatorSection section;
  section.kind = "flexlora";
  section.server_learning_rate = 0.5;
  const auto made =
      FlexLoraStrategy().make(section, *Options::Read({}, FlexLoraStrategy().options));
  EXPECT_EQ(made.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(made.status().message(), HasSubstr("server_learning_rate: 0.5"));
}

TEST(RaFloraTest, EqualRanksAreFlexLora) {
  MemoryRound round = Sampled(RaFloraStrategy());
  const Matrix one = Folded(RaFloraStrategy(), round);
  EXPECT_LT((Folded(FlexLoraStrategy(), round) - one).Norm(), 1e-6);
}

TEST(RaFloraTest, ARankIsTheMeanOverTheSitesThatHaveIt) {
  MemoryRound round = Sampled(RaFloraStrategy(), {.site_ranks = kMixed, .samples = {1, 1, 2}});
  const std::vector<std::vector<double>> shares = {{.25}, {.25, 1.0 / 3}, {.5, 2.0 / 3, 1, 1}};
  Matrix expected = Matrix::Zero(13, 11);
  for (std::size_t k = 0; k < 3; ++k) {
    for (std::size_t j = 0; j < shares[k].size(); ++j) {
      const Factors rank =
          TakeRanks(round.modules[0].sites[k], {static_cast<std::int64_t>(j)}, 13, 11);
      expected += 2 * shares[k][j] * Product(rank);
    }
  }
  const double dropped = Energy(SingularValues(expected), 4);
  EXPECT_NEAR((Folded(RaFloraStrategy(), round) - expected).Norm(), std::sqrt(dropped), kFloat);
}

TEST(RaFloraTest, ARankThatNobodyTrainedStays) {
  MemoryRound round = Sampled(RaFloraStrategy(), {.site_ranks = {2, 2}, .drift = 0});
  EXPECT_LT((Folded(RaFloraStrategy(), round) - Before(round)).Norm(), kFloat);
}

TEST(FedExLoraTest, IsExactForAnyRanks) {
  for (const auto& ranks : {kMixed, std::vector<std::int64_t>{4, 4, 4}}) {
    MemoryRound round = Sampled(FedExLoraStrategy(), {.site_ranks = ranks});
    const Matrix mean = MeanOfSites(round, true);
    EXPECT_LT((Folded(FedExLoraStrategy(), round) - mean).Norm(), kFloat);
    EXPECT_NEAR(round.results[0].dropped_energy, 0, 1e-9);
  }
}

TEST(FedExLoraTest, ResidualIsTheCovarianceAndNoLargerThanItsRank) {
  MemoryRound round =
      Sampled(FedExLoraStrategy(), {.site_ranks = {3, 3, 3}, .out = 40, .in = 30, .rank = 3});
  Folded(FedExLoraStrategy(), round);
  EXPECT_EQ(round.results[0].merged.rank, 2 * 3);  // (K - 1) r
  MemoryRound same =
      Sampled(FedItStrategy(), {.site_ranks = {3, 3, 3}, .out = 40, .in = 30, .rank = 3});
  const Matrix lost = MeanOfSites(same, false) - Folded(FedItStrategy(), same);
  EXPECT_LT((Product(round.results[0].merged) - lost).Norm(), kFloat);
}

TEST(FedExLoraTest, SitesThatAgreeLeaveNoResidual) {
  MemoryRound round = Sampled(FedExLoraStrategy());
  for (Factors& site : round.modules[0].sites) site = round.modules[0].sites[0];
  Folded(FedExLoraStrategy(), round);
  EXPECT_EQ(round.results[0].merged.rank, 0);
}

TEST(FedExLoraTest, ATruncatedResidualIsTheBestOfItsRank) {
  MemoryRound round = Sampled(FedExLoraStrategy());
  const Matrix mean = MeanOfSites(round, false);
  Folded(FedExLoraStrategy(), round);
  const std::vector<double> sigma = SingularValues(Product(round.results[0].merged));
  const Matrix after = Folded(FedExLoraStrategy(), round, {{"residual_rank", "2"}});
  EXPECT_EQ(round.results[0].merged.rank, 2);
  EXPECT_NEAR((after - mean).Norm(), std::sqrt(Energy(sigma, 2)), kFloat);
  EXPECT_NEAR(round.results[0].dropped_energy, Energy(sigma, 2), 1e-5);
}

TEST(LoraFairTest, WithoutARidgeIsExactInTheRowSpaceOfA) {
  MemoryRound round = Sampled(LoraFairStrategy());
  const Matrix basis = DenseA(round.modules[0].global.View());
  for (std::size_t k = 0; k < 3; ++k) {  // row(A_k) = row(A)
    const Matrix mix = Matrix::Identity(4) + 0.3 * Matrix::Random(4, 4, k);
    Factors& site = round.modules[0].sites[k];
    site = ToFactors(DenseB(site.View()), mix * basis);
  }
  const Matrix mean = MeanOfSites(round, false);
  EXPECT_LT((Folded(LoraFairStrategy(), round, {{"ridge", "0"}}) - mean).Norm(), kFloat);
  EXPECT_GT((Folded(FedItStrategy(), round) - mean).Norm(), 0.01);
}

TEST(LoraFairTest, ALargeRidgeIsFedIt) {
  MemoryRound round = Sampled(LoraFairStrategy());
  const Matrix fair = Folded(LoraFairStrategy(), round, {{"ridge", "1000000"}});
  EXPECT_LT((fair - Folded(FedItStrategy(), round)).Norm(), 1e-4);
}

TEST(LoraFairTest, IsNearerToTheMeanProductThanFedIt) {
  MemoryRound round = Sampled(LoraFairStrategy());
  const Matrix mean = MeanOfSites(round, false);
  const double fair = (Folded(LoraFairStrategy(), round) - mean).Norm();
  EXPECT_LT(fair, 0.9 * (Folded(FedItStrategy(), round) - mean).Norm());
}

TEST(FedRotLoraTest, WithoutStrengthIsFedItBitForBit) {
  MemoryRound round = Sampled(FedRotLoraStrategy());
  Folded(FedRotLoraStrategy(), round, {{"strength", "0"}});
  const Factors rot = round.results[0].next;
  Folded(FedItStrategy(), round);
  EXPECT_EQ(rot.a, round.results[0].next.a);
  EXPECT_EQ(rot.b, round.results[0].next.b);
}

// Sites that hold one product in bases of their own (here: reflections of pairs of ranks).
MemoryRound TurnedSites(std::int64_t number) {
  MemoryRound round = SampleRound(*Make(FedRotLoraStrategy()), {.drift = 0}, number);
  for (std::size_t k = 0; k < 3; ++k) {
    Factors& site = round.modules[0].sites[k];
    for (const std::size_t j : {k, k + 1}) {  // two signs: determinant 1
      for (std::size_t i = 0; i < 11; ++i) site.a[j * 11 + i] *= -1;
      for (std::size_t i = 0; i < 13; ++i) site.b[i * 4 + j] *= -1;
    }
  }
  return round;
}

TEST(FedRotLoraTest, UndoesTheBasesOfTheSites) {
  for (const std::int64_t number : {1, 2}) {  // by A, by B
    MemoryRound round = TurnedSites(number);
    const Matrix before = Before(round);
    EXPECT_LT((Folded(FedRotLoraStrategy(), round, {{"strength", "1"}}) - before).Norm(), 1e-4);
    EXPECT_GT((Folded(FedItStrategy(), round) - before).Norm(), 1);
  }
}

TEST(FedRotLoraTest, AlignsAWhileBIsZero) {
  MemoryRound round = SampleRound(*Make(FedRotLoraStrategy()), {.zero_b = true}, 2);
  MemoryRound odd = SampleRound(*Make(FedRotLoraStrategy()), {.zero_b = true}, 1);
  Folded(FedRotLoraStrategy(), round);
  Folded(FedRotLoraStrategy(), odd);
  EXPECT_EQ(round.results[0].next.a, odd.results[0].next.a);
}

TEST(FedSvdTest, KeepsTheProductAndTheRowSpaceAndMakesAOrthonormal) {
  MemoryRound round = Sampled(FedSvdStrategy());
  const Matrix before = RowProjector(DenseA(round.modules[0].global.View()));
  Folded(FedSvdStrategy(), round);  // that it is exact, the contract tests
  const Matrix a = DenseA(round.results[0].next.View());
  EXPECT_LT((a * a.Transposed() - Matrix::Identity(4)).Norm(), 1e-6);
  EXPECT_LT((RowProjector(a) - before).Norm(), 1e-5);
}

TEST(FedSvdTest, ADeficientBLosesNoRowOfA) {
  MemoryRound round = Sampled(FedSvdStrategy());
  const Matrix before = RowProjector(DenseA(round.modules[0].global.View()));
  for (Factors& site : round.modules[0].sites) {
    for (std::size_t i = 0; i < 13; ++i) {
      site.b[i * 4 + 1] = site.b[i * 4];  // rank 2
      site.b[i * 4 + 2] = 0;
    }
  }
  Folded(FedSvdStrategy(), round);
  const Matrix a = DenseA(round.results[0].next.View());
  EXPECT_LT((a * a.Transposed() - Matrix::Identity(4)).Norm(), 1e-6);
  EXPECT_LT((RowProjector(a) - before).Norm(), 1e-5);
}

TEST(FedSvdTest, RefactorsEveryPeriod) {
  const auto aggregator = Make(FedSvdStrategy(), {{"period", "3"}});
  for (const std::int64_t number : {1, 2, 3}) {
    MemoryRound round = SampleRound(*aggregator, {}, number);
    ASSERT_TRUE(aggregator->Fold(round).ok());
    EXPECT_EQ(round.results[0].next.a == round.modules[0].global.a, number != 3);
  }
}

TEST(FoldFlexTest, ExactModeIsExactForAnyRanks) {
  for (const auto& ranks : {kMixed, std::vector<std::int64_t>{4, 4, 4}}) {
    MemoryRound round = Sampled(FoldFlexStrategy(), {.site_ranks = ranks});
    const Matrix mean = MeanOfSites(round, true);
    EXPECT_LT((Folded(FoldFlexStrategy(), round, {{"mode", "exact"}}) - mean).Norm(), kFloat);
  }
}

TEST(FoldFlexTest, BudgetModeIsTheTruncatedMeanAndLogsTheRest) {
  MemoryRound round = Sampled(FoldFlexStrategy(), {.site_ranks = kMixed});
  const Matrix mean = MeanOfSites(round, true);
  const double dropped = Energy(SingularValues(mean), 4);
  EXPECT_NEAR((Folded(FoldFlexStrategy(), round) - mean).Norm(), std::sqrt(dropped), kFloat);
  EXPECT_NEAR(round.results[0].dropped_energy, dropped, 1e-4);
  EXPECT_EQ(round.results[0].merged.rank, 0);
}

TEST(FoldFlexTest, AllRanksEverywhereIsFlexLora) {
  MemoryRound round = Sampled(FoldFlexStrategy());
  Folded(FoldFlexStrategy(), round);
  const Factors fold = round.results[0].next;
  Folded(FlexLoraStrategy(), round);
  EXPECT_EQ(fold.a, round.results[0].next.a);
  EXPECT_EQ(fold.b, round.results[0].next.b);
}

TEST(FoldFlexTest, ToleranceMergesFewerRanks) {
  MemoryRound round = Sampled(FoldFlexStrategy());
  const Matrix mean = MeanOfSites(round, true);
  Folded(FoldFlexStrategy(), round, {{"mode", "exact"}});
  const std::int64_t all = round.results[0].merged.rank;
  const Matrix after =
      Folded(FoldFlexStrategy(), round, {{"mode", "exact"}, {"tolerance", "0.001"}});
  EXPECT_LT(round.results[0].merged.rank, all);
  EXPECT_LE(round.results[0].dropped_energy, 0.001 * mean.Norm() * mean.Norm());
  EXPECT_NEAR((after - mean).Norm(), std::sqrt(round.results[0].dropped_energy), kFloat);
}

TEST(FoldFlexTest, IsMarkedExperimental) { EXPECT_TRUE(FoldFlexStrategy().experimental); }

}  // namespace
}  // namespace tributary::aggregators

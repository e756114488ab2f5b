// What rounds without training do to the singular values of the product under mixed ranks
// (reference/algorithms.md, C.0.4): ranks 2, 4, 4, 8, 8 with equal weights, three rounds. P_j, the
// weight of the sites that have rank j, is 1, 1, .8, .8, .4, .4, .4, .4.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/aggregators/lora/sample_round.h"

namespace tributary::aggregators {
namespace {

constexpr int kRounds = 3;

// Singular values of s B A after the rounds over those before.
std::vector<double> RatiosAfterIdleRounds(const Aggregator& aggregator) {
  const Sample sample{.site_ranks = {2, 4, 4, 8, 8},
                      .samples = {1, 1, 1, 1, 1},
                      .out = 24,
                      .in = 20,
                      .rank = 8,
                      .drift = 0};
  MemoryRound round = SampleRound(aggregator, sample);
  // Ordered ranks with equal shares, as a server that truncates hands them out.
  StackedProduct start(sample.out, sample.in);
  start.Add(round.modules[0].global.View(), 1);
  const auto svd = start.Svd(8);
  round.modules[0].global = SplitTriplets(*svd, 0, 8, Split::kSymmetric, 1);
  const std::vector<double> before = SingularValues(Before(round));
  Matrix merged = Matrix::Zero(sample.out, sample.in);
  for (int i = 1; i <= kRounds; ++i) {
    round.at_round = i;
    const TrainDirective directive = aggregator.Directive(i);
    round.modules[0].sites = TrainedSites(sample, directive, round.modules[0].global, round.sites);
    EXPECT_TRUE(aggregator.Fold(round).ok());
    const ModuleResult& result = round.results[0];
    if (result.merged.rank > 0) merged += Product(result.merged);
    round.modules[0].global = result.next;
  }
  const std::vector<double> after = SingularValues(Before(round) + merged);
  std::vector<double> ratios;
  for (std::size_t j = 0; j < 8; ++j) ratios.push_back(after[j] / before[j]);
  return ratios;
}

void ExpectRatios(const Strategy& strategy, const std::vector<double>& expected) {
  const std::vector<double> ratios = RatiosAfterIdleRounds(*Make(strategy));
  for (std::size_t j = 0; j < 8; ++j) EXPECT_NEAR(ratios[j], expected[j], 2e-5) << j;
}

TEST(RankCollapseTest, FlexLoraMultipliesBySharesOfTheWeight) {
  ExpectRatios(FlexLoraStrategy(), {1, 1, .512, .512, .064, .064, .064, .064});
}

TEST(RankCollapseTest, ZeroPaddingMultipliesByTheirSquares) {
  const double four = std::pow(.8, 6), eight = std::pow(.4, 6);
  ExpectRatios(ZeroPadStrategy(), {1, 1, four, four, eight, eight, eight, eight});
}

TEST(RankCollapseTest, HetLoraCollapsesWithItsOwnWeights) {
  const std::vector<double> ratios = RatiosAfterIdleRounds(*Make(HetLoraStrategy()));
  EXPECT_NEAR(ratios[0], 1, 1e-5);
  EXPECT_LT(ratios[3], 0.8);
  EXPECT_LT(ratios[7], 0.1);
}

class NoCollapseTest : public testing::TestWithParam<const Strategy*> {};

TEST_P(NoCollapseTest, KeepsEverySingularValue) {
  ExpectRatios(*GetParam(), {1, 1, 1, 1, 1, 1, 1, 1});
}

INSTANTIATE_TEST_SUITE_P(All, NoCollapseTest,
                         testing::Values(&RaFloraStrategy(), &RblaStrategy(), &FloraStrategy(),
                                         &FedExLoraStrategy(), &FedPLoraStrategy(),
                                         &FoldFlexStrategy(), &FfaLoraStrategy()),
                         [](const auto& info) {
                           std::string name(info.param->kind);
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace tributary::aggregators

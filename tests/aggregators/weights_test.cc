#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "aggregators/weights.h"
#include "tests/aggregators/round_harness.h"

namespace tributary::aggregators {
namespace {

using testing::ElementsAre;
using testing::FloatNear;
using testing::HasSubstr;
using testing::Pointwise;

using testing::DoubleEq;

std::vector<Contribution> Sites(const std::vector<std::int64_t>& samples) {
  std::vector<Contribution> contributions;
  for (std::size_t k = 0; k < samples.size(); ++k) {
    Contribution& c = contributions.emplace_back();
    c.site = std::string(1, static_cast<char>('a' + k));
    c.samples = samples[k];
  }
  return contributions;
}

TEST(WeightsTest, SumToOne) {
  EXPECT_THAT(*NormalisedWeights({}, Sites({1, 3})), ElementsAre(0.25, 0.75));
  EXPECT_THAT(*NormalisedWeights({.weights = "equal"}, Sites({1, 0})), ElementsAre(0.5, 0.5));
  EXPECT_THAT(EqualWeights(4), ElementsAre(0.25, 0.25, 0.25, 0.25));
}

TEST(WeightsTest, ALiarIsCapped) {
  EXPECT_THAT(*NormalisedWeights({.weight_cap = 3}, Sites({1, 1'000'000})),
              ElementsAre(0.25, 0.75));
}

TEST(WeightsTest, CustomWeightsAreTheCampaigns) {
  const AggregatorSection section = {.weights = "custom", .custom_weights = {{"a", 3}, {"b", 1}}};
  EXPECT_THAT(*NormalisedWeights(section, Sites({1, 1})), ElementsAre(0.75, 0.25));
  EXPECT_EQ(NormalisedWeights(section, Sites({1, 1, 1})).status().message(),
            "aggregator.custom_weights does not name site c");
}

TEST(WeightsTest, RefusesWhatMeansNothing) {
  EXPECT_THAT(NormalisedWeights({}, Sites({0, 0})).status().message(),
              HasSubstr("no site has a number of samples above 0; sites: a b"));
  EXPECT_THAT(NormalisedWeights({}, Sites({4, -2})).status().message(),
              HasSubstr("site b has a negative number of samples"));
  EXPECT_FALSE(NormalisedWeights({}, {}).ok());
  EXPECT_THAT(NormalisedWeights({.weights = "size"}, Sites({1})).status().message(),
              HasSubstr("must be one of equal samples tokens steps custom"));
}

}  // namespace
}  // namespace tributary::aggregators

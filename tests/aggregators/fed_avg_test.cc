#include "aggregators/fed_avg.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "core/random.h"

namespace tributary::aggregators {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

struct Update {
  Contribution contribution;
  std::vector<float> delta;
};

std::vector<float> Fold(const AggregatorSection& section, const std::vector<Update>& updates,
                        std::vector<float> global) {
  const auto aggregator = MakeFedAvg(section);
  std::vector<Contribution> contributions;
  std::vector<std::span<const float>> deltas;
  for (const Update& update : updates) {
    contributions.push_back(update.contribution);
    deltas.emplace_back(update.delta);
  }
  const Status status = aggregator->Begin(contributions);
  EXPECT_TRUE(status.ok()) << status;
  if (status.ok()) aggregator->FoldBlock(deltas, global);
  return global;
}

std::vector<float> RandomFloats(std::size_t count, std::uint64_t seed) {
  SplitMix64 random(seed);
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(random.Unit() * 2 - 1);
  return values;
}

Update Of(const std::string& site, std::int64_t samples, std::vector<float> delta) {
  return {{.site = site, .samples = samples, .tokens = samples, .steps = samples},
          std::move(delta)};
}

TEST(FedAvgTest, IsTheWeightedMeanOfTheUpdates) {
  EXPECT_THAT(Fold({}, {Of("a", 1, {1, 0}), Of("b", 3, {0, 2})}, {0, 0}), ElementsAre(0.25F, 1.5F));
  EXPECT_THAT(Fold({}, {Of("a", 1, {1, 0}), Of("b", 3, {0, 2})}, {10, -1}),
              ElementsAre(10.25F, 0.5F));
}

TEST(FedAvgTest, SplittingASiteChangesNothing) {
  const std::vector<Update> whole = {Of("a", 4, {1, -2}), Of("b", 4, {0, 2})};
  const std::vector<Update> split = {Of("a1", 1, {1, -2}), Of("a2", 3, {1, -2}),
                                     Of("b", 4, {0, 2})};
  EXPECT_EQ(Fold({}, whole, {1, 1}), Fold({}, split, {1, 1}));
}

TEST(FedAvgTest, WeighsByWhatTheCampaignSays) {
  const std::vector<Update> updates = {{{.site = "a", .samples = 1, .tokens = 1, .steps = 3}, {8}},
                                       {{.site = "b", .samples = 3, .tokens = 7, .steps = 1}, {0}}};
  const auto fold = [&](const std::string& weights) {
    return Fold({.weights = weights}, updates, {0})[0];
  };
  EXPECT_EQ(fold("equal"), 4);
  EXPECT_EQ(fold("samples"), 2);
  EXPECT_EQ(fold("tokens"), 1);
  EXPECT_EQ(fold("steps"), 6);
}

TEST(FedAvgTest, ServerLearningRateScalesTheStep) {
  EXPECT_THAT(Fold({.server_learning_rate = 0.5}, {Of("a", 7, {4, -2})}, {1, 1}),
              ElementsAre(3, 0));
}

TEST(FedAvgTest, ZeroUpdatesLeaveTheGlobalBitsAlone) {  // U1
  const std::vector<float> global = RandomFloats(5000, 1);
  const std::vector<float> zeros(global.size(), 0.0F);
  EXPECT_EQ(Fold({}, {Of("a", 3, zeros), Of("b", 5, zeros)}, global), global);
}

TEST(FedAvgTest, IdenticalSitesActAsOne) {  // U2: weights that are exact in binary
  const std::vector<float> delta = RandomFloats(5000, 2);
  const std::vector<float> global = RandomFloats(5000, 3);
  EXPECT_EQ(Fold({}, {Of("a", 1, delta), Of("b", 1, delta), Of("c", 2, delta)}, global),
            Fold({}, {Of("a", 1, delta)}, global));
}

TEST(FedAvgTest, ScalingAllWeightsChangesNothing) {  // U4
  const std::vector<float> one = RandomFloats(100, 4);
  const std::vector<float> two = RandomFloats(100, 5);
  EXPECT_EQ(Fold({}, {Of("a", 3, one), Of("b", 7, two)}, one),
            Fold({}, {Of("a", 3000, one), Of("b", 7000, two)}, one));
}

TEST(FedAvgTest, ASingleSiteIsTakenWhole) {  // U6
  const std::vector<float> delta = RandomFloats(3000, 6);
  const std::vector<float> global = RandomFloats(3000, 7);
  std::vector<float> expected = global;
  for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += delta[i];
  EXPECT_EQ(Fold({}, {Of("a", 12345, delta)}, global), expected);
}

TEST(FedAvgTest, HowParametersAreCutIntoBlocksDoesNotMatter) {
  const std::vector<float> one = RandomFloats(10000, 8);
  const std::vector<float> two = RandomFloats(10000, 9);
  const std::vector<float> global = RandomFloats(10000, 10);
  const std::vector<float> whole = Fold({}, {Of("a", 3, one), Of("b", 4, two)}, global);
  const auto aggregator = MakeFedAvg({});
  const std::vector<Contribution> contributions = {{.site = "a", .samples = 3},
                                                   {.site = "b", .samples = 4}};
  ASSERT_TRUE(aggregator->Begin(contributions).ok());
  for (const std::size_t block : {1, 7, 2048, 2049, 9999}) {
    std::vector<float> out = global;
    for (std::size_t at = 0; at < out.size(); at += block) {
      const std::size_t count = std::min(block, out.size() - at);
      const std::vector<std::span<const float>> parts = {std::span(one).subspan(at, count),
                                                         std::span(two).subspan(at, count)};
      aggregator->FoldBlock(parts, std::span(out).subspan(at, count));
    }
    EXPECT_EQ(out, whole) << block;
  }
}

TEST(FedAvgTest, RefusesWeightsThatMeanNothing) {
  const auto aggregator = MakeFedAvg({});
  const std::vector<Contribution> zero = {{.site = "a"}, {.site = "b"}};
  EXPECT_EQ(aggregator->Begin(zero),
            InvalidArgumentError("all updates have weight 0: no site reports any samples"));
  const std::vector<Contribution> negative = {{.site = "a", .samples = 5},
                                              {.site = "b", .samples = -1}};
  EXPECT_THAT(aggregator->Begin(negative).message(), HasSubstr("site b reports a negative"));
  EXPECT_FALSE(aggregator->Begin({}).ok());
}

TEST(FedAvgTest, OneRoundDoesNotRememberTheLast) {
  const auto aggregator = MakeFedAvg({});
  const std::vector<Contribution> first = {{.site = "a", .samples = 1},
                                           {.site = "b", .samples = 1}};
  const std::vector<Contribution> second = {{.site = "a", .samples = 1}};
  ASSERT_TRUE(aggregator->Begin(first).ok());
  ASSERT_TRUE(aggregator->Begin(second).ok());
  const std::vector<float> delta = {2};
  const std::vector<std::span<const float>> updates = {delta};
  std::vector<float> global = {1};
  aggregator->FoldBlock(updates, global);
  EXPECT_THAT(global, ElementsAre(3));
}

TEST(MakeAggregatorTest, KnowsItsTable) {
  for (const AggregatorInfo& info : KnownAggregators()) {
    const auto made = MakeAggregator({.kind = std::string(info.kind)});
    ASSERT_TRUE(made.ok()) << info.kind;
    EXPECT_GE((*made)->capabilities().min_sites, 1);
    EXPECT_NE(info.summary, "");
  }
}

TEST(MakeAggregatorTest, SuggestsTheNearestName) {
  const Status status = MakeAggregator({.kind = "fedvag"}).status();
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
  EXPECT_EQ(status.message(),
            "aggregator.kind: \"fedvag\" is not known; did you mean fedavg?; known: fedavg");
}

}  // namespace
}  // namespace tributary::aggregators

// Every LoRA strategy of the table through files: the engine gives it the same modules as the tests
// in memory do, and writes what it makes of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/aggregators/lora/sample_round.h"
#include "tests/aggregators/round_harness.h"

namespace tributary::aggregators {
namespace {

using testing::HasSubstr;

constexpr std::int64_t kOut = 13, kIn = 11, kRank = 4;

std::vector<float> Minus(const std::vector<float>& x, const std::vector<float>& y) {
  std::vector<float> difference(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) difference[i] = x[i] - y[i];
  return difference;
}

// Two modules and a head, as a version and updates in files and as a round in memory.
struct Twin {
  Twin(const Aggregator& aggregator, const Sample& sample, std::int64_t number)
      : memory(SampleRound(aggregator, sample, number)) {
    Sample other = sample;
    other.seed += 1;
    memory.modules.push_back(SampleRound(aggregator, other, number).modules[0]);
    memory.modules[1].name = "n";
    memory.tensors = {{"head", {1, 2, 3}, {}}};
    const TrainDirective directive = aggregator.Directive(number);
    for (std::size_t k = 0; k < memory.sites.size(); ++k) AddSite(k, directive);
    for (const MemoryModule& module : memory.modules) {
      version.push_back({module.name + ".lora_A.weight", module.global.a, {kRank, kIn}});
      version.push_back({module.name + ".lora_B.weight", module.global.b, {kOut, kRank}});
    }
    version.push_back({"head", memory.tensors[0].global});
  }

  // Rounds the site's factors to version + update, as files do.
  void AddSite(std::size_t k, const TrainDirective& directive) {
    SiteUpdate& update = updates.emplace_back();
    update.contribution = memory.sites[k];
    for (MemoryModule& module : memory.modules) {
      Factors& site = module.sites[k];
      const Factors start = TakeRanks(module.global, memory.sites[k].ranks, kOut, kIn);
      const std::vector<float> a = Minus(site.a, start.a), b = Minus(site.b, start.b);
      for (std::size_t i = 0; i < a.size(); ++i) site.a[i] = start.a[i] + a[i];
      for (std::size_t i = 0; i < b.size(); ++i) site.b[i] = start.b[i] + b[i];
      const bool both = directive.frozen == FrozenFactor::kBoth;
      if (!both && directive.frozen != FrozenFactor::kA) {
        update.tensors.push_back({module.name + ".lora_A.weight", a, {site.rank, kIn}});
      }
      if (!both && directive.frozen != FrozenFactor::kB && !directive.keep_b_local) {
        update.tensors.push_back({module.name + ".lora_B.weight", b, {kOut, site.rank}});
      }
    }
    update.tensors.push_back({"head", {1, 2, static_cast<float>(k)}});
    memory.tensors[0].updates.push_back(update.tensors.back().values);
  }

  MemoryRound memory;
  std::vector<NamedFloats> version;
  std::vector<SiteUpdate> updates;
};

class LoraFilesTest : public testing::TestWithParam<const Strategy*> {
 protected:
  static Sample SampleFor(const Strategy& strategy) {
    Sample sample;
    if (strategy.capabilities.mixed_ranks) sample.site_ranks = {1, 3, 4};
    return sample;
  }
};

TEST_P(LoraFilesTest, FilesGiveWhatMemoryGives) {
  const auto aggregator = Make(*GetParam());
  for (const std::int64_t number : {1, 2}) {
    Twin twin(*aggregator, SampleFor(*GetParam()), number);
    RoundHarness harness(twin.version);
    harness.input().number = number;
    harness.input().seed = twin.memory.campaign_seed;
    harness.input().lora_scale = 2;
    const Status status = harness.Step(*aggregator, twin.updates);
    ASSERT_TRUE(status.ok()) << status;
    ASSERT_TRUE(aggregator->Fold(twin.memory).ok());
    for (std::size_t m = 0; m < 2; ++m) {
      const ModuleResult& result = twin.memory.results[m];
      const std::string name = twin.memory.modules[m].name;
      EXPECT_EQ(harness.Global(name + ".lora_A.weight"), result.next.a);
      EXPECT_EQ(harness.Global(name + ".lora_B.weight"), result.next.b);
      if (result.merged.rank == 0) continue;
      ASSERT_TRUE(harness.output().merged.has_value());
      const std::string& merged = harness.output().merged->path;
      EXPECT_EQ(ReadFloats(merged, name + ".merged_A.weight"), result.merged.a);
      EXPECT_EQ(ReadFloats(merged, name + ".merged_B.weight"), result.merged.b);
    }
    EXPECT_EQ(harness.Global("head"), twin.memory.tensors[0].global);
  }
}

TEST_P(LoraFilesTest, AnyNumberOfThreadsGivesTheSameBits) {
  const auto aggregator = Make(*GetParam());
  std::map<std::string, Digest> first;
  for (const unsigned threads : {1U, 3U}) {
    Twin twin(*aggregator, SampleFor(*GetParam()), 1);
    RoundHarness harness(twin.version);
    harness.input().threads = threads;
    ASSERT_TRUE(harness.Step(*aggregator, twin.updates).ok());
    if (first.empty()) first = harness.Digests();
    EXPECT_EQ(harness.Digests(), first);
  }
}

TEST_P(LoraFilesTest, IsInTheTable) {
  const auto found = FindStrategy(GetParam()->kind);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(*found, GetParam());
}

INSTANTIATE_TEST_SUITE_P(All, LoraFilesTest, testing::ValuesIn(LoraStrategies()),
                         [](const auto& info) {
                           std::string name(info.param->kind);
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(FedSbFilesTest, OnlyTheMiddleMatricesTravel) {
  const auto aggregator = Make(FedSbStrategy());
  RoundHarness harness({{"m.lora_A.weight", {1, 2}, {1, 2}},
                        {"m.lora_B.weight", {3}, {1, 1}},
                        {"m.lora_C.weight", {5}, {1, 1}}});
  SiteUpdate one = Sends("a", {}), two = Sends("b", {}, 3);
  one.tensors = {{"m.lora_C.weight", {4}, {1, 1}}};
  two.tensors = {{"m.lora_C.weight", {8}, {1, 1}}};
  ASSERT_TRUE(harness.Step(*aggregator, {one, two}).ok());
  EXPECT_THAT(harness.Global("m.lora_C.weight"), testing::ElementsAre(12));
  EXPECT_THAT(harness.Global("m.lora_A.weight"), testing::ElementsAre(1, 2));
  one.tensors.push_back({"m.lora_B.weight", {1}, {1, 1}});
  EXPECT_THAT(harness.Step(*aggregator, {one, two}).message(),
              HasSubstr("tensor m.lora_B.weight is not part of the adapter"));
}

}  // namespace
}  // namespace tributary::aggregators

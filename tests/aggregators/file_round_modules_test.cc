#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <mutex>
#include <set>

#include "aggregators/file_round.h"
#include "aggregators/module_list.h"
#include "tests/aggregators/round_harness.h"

namespace tributary::aggregators {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::HasSubstr;

// A strategy made of one function.
class Rule final : public Aggregator {
 public:
  explicit Rule(std::function<Status(Round&)> fold, TrainDirective directive = {})
      : fold_(std::move(fold)), directive_(std::move(directive)) {}
  std::int64_t MinSites() const override { return 1; }
  TrainDirective Directive(std::int64_t) const override { return directive_; }
  Status Fold(Round& round) const override { return fold_(round); }

 private:
  const std::function<Status(Round&)> fold_;
  const TrainDirective directive_;
};

// Module "m": in 3, out 2, rank 2; a tensor between its factors and others around.
const std::vector<NamedFloats> kVersion = {
    {"a.bias", {7, 8}},
    {"m.lora_A.weight", {1, 2, 3, 4, 5, 6}, {2, 3}},
    {"m.lora_B.bias", {9}},
    {"m.lora_B.weight", {10, 20, 30, 40}, {2, 2}},
    {"n.lora_A.weight", {1, 1, 1, 1}, {2, 2}},
    {"n.lora_B.weight", {2, 2}, {1, 2}},
    {"z", {}},
};

SiteUpdate Update(const std::string& site, std::vector<NamedFloats> tensors,
                  std::vector<std::int64_t> ranks = {}) {
  SiteUpdate update = Sends(site, {});
  update.contribution.ranks = std::move(ranks);
  update.tensors = std::move(tensors);
  return update;
}

SiteUpdate Full(const std::string& site) {
  return Update(site, {{"a.bias", {1, 1}},
                       {"m.lora_A.weight", {.1F, .2F, .3F, .4F, .5F, .6F}, {2, 3}},
                       {"m.lora_B.bias", {1}},
                       {"m.lora_B.weight", {1, 2, 3, 4}, {2, 2}},
                       {"n.lora_A.weight", {0, 0, 0, 0}, {2, 2}},
                       {"n.lora_B.weight", {0, 0}, {1, 2}},
                       {"z", {}}});
}

void KeepBlock(const Block&) {}
ModuleResult Keep(const Module& module) {
  ModuleResult result;
  result.next = {module.global.rank,
                 {module.global.a.begin(), module.global.a.end()},
                 {module.global.b.begin(), module.global.b.end()}};
  return result;
}

TEST(FindModulesTest, GoesByNameNotByShape) {
  const Manifest manifest = {{"x.lora_A.weight", DType::kF32, {4, 4}},
                             {"x.lora_B.weight", DType::kF32, {4, 4}},
                             {"y.lora_embedding_A", DType::kF32, {4, 4}}};
  const auto modules = FindModules(manifest);
  ASSERT_TRUE(modules.ok()) << modules.status();
  ASSERT_EQ(modules->size(), 1U);
  EXPECT_EQ((*modules)[0].name, "x");
  EXPECT_EQ((*modules)[0].b, 1U);
}

TEST(FindModulesTest, RefusesFactorsThatDoNotFit) {
  EXPECT_EQ(FindModules({{"x.lora_A.weight", DType::kF32, {4, 4}}}).status().message(),
            "tensor x.lora_A.weight has no partner x.lora_B.weight");
  EXPECT_EQ(FindModules({{"x.lora_B.weight", DType::kF32, {4, 4}}}).status().message(),
            "tensor x.lora_B.weight has no partner x.lora_A.weight");
  EXPECT_THAT(FindModules({{"x.lora_A.weight", DType::kF32, {4, 3}},
                           {"x.lora_B.weight", DType::kF32, {2, 5}}})
                  .status()
                  .message(),
              HasSubstr("are no LoRA pair; must be [rank, in] and [out, rank]"));
}

// Site "b" of rank 1, the second of two.
SiteUpdate Half() {
  return Update("b",
                {{"a.bias", {3, 3}},
                 {"m.lora_A.weight", {100, 200, 300}, {1, 3}},
                 {"m.lora_B.bias", {3}},
                 {"m.lora_B.weight", {1, 2}, {2, 1}},
                 {"n.lora_A.weight", {0, 0}, {1, 2}},
                 {"n.lora_B.weight", {0}, {1, 1}},
                 {"z", {}}},
                {1});
}

Status KeepAll(Round& round) {
  return round.FoldModules(
      [](std::size_t, const Module& module) -> Result<ModuleResult> { return Keep(module); },
      KeepBlock);
}

TEST(ModulesTest, ShowsWhatEverySiteMadeOfAModule) {
  RoundHarness harness(kVersion);
  harness.input().lora_scale = 2.5;
  std::mutex mutex;
  std::set<std::size_t> seen;
  const Rule look([&](Round& round) -> Status {
    EXPECT_EQ(round.module_count(), 2U);
    TRIBUTARY_RETURN_IF_ERROR(round.VisitModules([&](std::size_t index, const Module& module) {
      const std::lock_guard<std::mutex> lock(mutex);
      seen.insert(index);
      EXPECT_EQ(module.scale, 2.5);
      if (index == 1) {
        EXPECT_EQ(module.name, "n");
        return;
      }
      EXPECT_EQ(module.name, "m");
      EXPECT_EQ(module.in, 3);
      EXPECT_EQ(module.out, 2);
      EXPECT_THAT(module.global.b, ElementsAre(10, 20, 30, 40));
      ASSERT_EQ(module.sites.size(), 2U);
      EXPECT_EQ(module.sites[0].rank, 2);
      EXPECT_THAT(module.sites[0].a,
                  ElementsAre(1 + .1F, 2 + .2F, 3 + .3F, 4 + .4F, 5 + .5F, 6 + .6F));
      EXPECT_THAT(module.sites[0].b, ElementsAre(11, 22, 33, 44));
      EXPECT_EQ(module.sites[1].rank, 1);
      EXPECT_THAT(module.sites[1].a, ElementsAre(104, 205, 306));
      EXPECT_THAT(module.sites[1].b, ElementsAre(21, 42));
    }));
    return KeepAll(round);
  });
  ASSERT_EQ(harness.Step(look, {Half(), Full("a")}), OkStatus());
  EXPECT_THAT(seen, ElementsAre(0, 1));
}

TEST(ModulesTest, WritesModulesAndTheRestInManifestOrder) {
  for (const unsigned threads : {1U, 3U}) {
    RoundHarness harness(kVersion);
    harness.input().threads = threads;
    const Rule rule([](Round& round) {
      return round.FoldModules(
          [](std::size_t, const Module& module) -> Result<ModuleResult> {
            ModuleResult result = Keep(module);
            for (float& value : result.next.a) value += 100;
            for (float& value : result.next.b) value = -value;
            result.dropped_energy = static_cast<double>(module.in);
            return result;
          },
          [](const Block& block) {
            for (std::size_t i = 0; i < block.global.size(); ++i) {
              block.global[i] += block.updates[0][i] + block.updates[1][i];
            }
          });
    });
    ASSERT_EQ(harness.Step(rule, {Full("a"), Half()}), OkStatus());
    EXPECT_THAT(harness.Global("a.bias"), ElementsAre(11, 12));
    EXPECT_THAT(harness.Global("m.lora_A.weight"), ElementsAre(101, 102, 103, 104, 105, 106));
    EXPECT_THAT(harness.Global("m.lora_B.bias"), ElementsAre(13));
    EXPECT_THAT(harness.Global("m.lora_B.weight"), ElementsAre(-10, -20, -30, -40));
    EXPECT_THAT(harness.Global("n.lora_B.weight"), ElementsAre(-2, -2));
    EXPECT_THAT(harness.Global("z"), ElementsAre());
    EXPECT_EQ(harness.output().dropped_energy, 3 + 2);
    EXPECT_FALSE(harness.output().merged);
  }
}

TEST(ModulesTest, MergedProductsOfAnyRankGetAFile) {
  RoundHarness harness(kVersion);
  const Rule rule([](Round& round) {
    return round.FoldModules(
        [](std::size_t index, const Module& module) -> Result<ModuleResult> {
          ModuleResult result = Keep(module);
          if (index == 0) result.merged = {1, {1, 2, 3}, {4, 5}};
          return result;
        },
        KeepBlock);
  });
  ASSERT_EQ(harness.Step(rule, {Full("a")}), OkStatus());
  ASSERT_TRUE(harness.output().merged);
  const std::string& path = harness.output().merged->path;
  EXPECT_EQ(harness.output().merged->written.digest, *Sha256OfFile(path));
  EXPECT_THAT(SafetensorsFile::Open(path)->ToManifest(),
              ElementsAre(TensorSpec{"m.merged_A.weight", DType::kF32, {1, 3}},
                          TensorSpec{"m.merged_B.weight", DType::kF32, {2, 1}}));
  EXPECT_THAT(ReadFloats(path, "m.merged_A.weight"), ElementsAre(1, 2, 3));
  EXPECT_THAT(ReadFloats(path, "m.merged_B.weight"), ElementsAre(4, 5));
}

TEST(ModulesTest, ManyModulesKeepTheirPlacesOnAnyNumberOfThreads) {
  std::vector<NamedFloats> version;
  SiteUpdate update = Sends("a", {});
  update.tensors.clear();
  for (int i = 0; i < 200; ++i) {
    const std::string name = "layer." + std::to_string(i);
    const auto in = static_cast<std::int64_t>(1 + i % 7);
    const auto size = static_cast<std::size_t>(2 * in);
    for (auto* list : {&version, &update.tensors}) {
      list->push_back({name + ".lora_A.weight", RandomFloats(size, i), {2, in}});
      list->push_back({name + ".lora_B.weight", RandomFloats(4, 1000 + i), {2, 2}});
    }
  }
  std::map<std::string, Digest> expected;
  Digest merged;
  for (const unsigned threads : {1U, 2U, 3U}) {
    RoundHarness harness(version);
    harness.input().threads = threads;
    const Rule rule([](Round& round) {
      return round.FoldModules(
          [](std::size_t index, const Module& module) -> Result<ModuleResult> {
            ModuleResult result = Keep(module);
            const FactorView& site = module.sites[0];
            result.next.a.assign(site.a.begin(), site.a.end());
            result.dropped_energy = 0.1 * static_cast<double>(index);
            result.merged = result.next;
            return result;
          },
          KeepBlock);
    });
    ASSERT_EQ(harness.Step(rule, {update}), OkStatus());
    if (expected.empty()) {
      expected = harness.Digests();
      merged = harness.output().merged->written.digest;
    }
    EXPECT_EQ(harness.Digests(), expected);
    EXPECT_EQ(harness.output().merged->written.digest, merged);
    EXPECT_EQ(harness.Global("layer.99.lora_A.weight")[0], 2 * RandomFloats(4, 99)[0]);
  }
}

TEST(ModulesTest, BlocksRefuseMixedRanks) {
  RoundHarness harness(kVersion);
  const Rule blocks([](Round& round) { return round.FoldBlocks({}, KeepBlock); });
  EXPECT_THAT(harness.Step(blocks, {Full("a"), Half()}).message(),
              HasSubstr("site b trains 1 of 2 ranks; this strategy needs sites of equal ranks"));
  const Rule measure([](Round& round) { return round.Measure({}).status(); });
  EXPECT_FALSE(harness.Step(measure, {Full("a"), Half()}).ok());
  SiteUpdate all = Full("a");
  all.contribution.ranks = {0, 1};
  EXPECT_EQ(harness.Step(blocks, {all}), OkStatus());
}

TEST(ModulesTest, RanksMustBeThoseOfTheAdapter) {
  RoundHarness harness(kVersion);
  for (const std::vector<std::int64_t>& ranks :
       std::vector<std::vector<std::int64_t>>{{2}, {-1}, {1, 0}, {1, 1}}) {
    SiteUpdate update = Half();
    update.contribution.ranks = ranks;
    EXPECT_THAT(harness.Step(Rule(KeepAll), {update}).message(),
                HasSubstr("update of site b: rank "));
  }
  SiteUpdate wide = Full("a");
  wide.contribution.ranks = {1};
  EXPECT_THAT(harness.Step(Rule(KeepAll), {wide}).message(),
              HasSubstr("tensor m.lora_A.weight has shape [2, 3]; must be [1, 3]"));
}

SiteUpdate Without(SiteUpdate update, std::string_view suffix) {
  std::erase_if(update.tensors, [&](const auto& tensor) { return tensor.name.ends_with(suffix); });
  return update;
}

TEST(ModulesTest, AFrozenFactorDoesNotTravelAndStays) {
  for (const auto& [directive, suffix] : std::vector<std::pair<TrainDirective, std::string>>{
           {{.frozen = FrozenFactor::kA}, ".lora_A.weight"},
           {{.frozen = FrozenFactor::kB}, ".lora_B.weight"},
           {{.keep_b_local = true}, ".lora_B.weight"}}) {
    RoundHarness harness(kVersion);
    const bool is_a = suffix == ".lora_A.weight";
    const Rule add(
        [](Round& round) {
          return round.FoldBlocks({}, [](const Block& block) {
            for (std::size_t i = 0; i < block.global.size(); ++i)
              block.global[i] += block.updates[0][i];
          });
        },
        directive);
    EXPECT_THAT(harness.Step(add, {Full("a")}).message(),
                HasSubstr("tensor m" + suffix + " is not part of the adapter"));
    ASSERT_EQ(harness.Step(add, {Without(Full("a"), suffix)}), OkStatus());
    EXPECT_EQ(harness.Global("m.lora_A.weight")[0], is_a ? 1 : 1 + .1F);
    EXPECT_EQ(harness.Global("m.lora_B.weight")[0], is_a ? 11 : 10);
    const Rule look(
        [&](Round& round) -> Status {
          TRIBUTARY_RETURN_IF_ERROR(round.VisitModules([&](std::size_t, const Module& module) {
            EXPECT_THAT(is_a ? module.sites[0].a : module.sites[0].b,
                        ElementsAreArray(is_a ? module.global.a : module.global.b));
          }));
          return KeepAll(round);
        },
        directive);
    ASSERT_EQ(harness.Step(look, {Without(Full("a"), suffix)}), OkStatus());
  }
}

TEST(ModulesTest, WrongResultsAndMissingFactorsAreErrors) {
  RoundHarness harness(kVersion);
  const auto with = [](std::function<void(ModuleResult*)> change) {
    return Rule([change](Round& round) {
      return round.FoldModules(
          [&](std::size_t, const Module& module) -> Result<ModuleResult> {
            ModuleResult result = Keep(module);
            change(&result);
            return result;
          },
          KeepBlock);
    });
  };
  EXPECT_EQ(harness.Step(with([](ModuleResult* r) { r->next.rank = 1; }), {Full("a")}).code(),
            StatusCode::kInternal);
  EXPECT_EQ(harness.Step(with([](ModuleResult* r) { r->merged.rank = 1; }), {Full("a")}).code(),
            StatusCode::kInternal);
  EXPECT_THAT(
      harness.Step(with([](ModuleResult* r) { r->next.a[0] = std::nanf(""); }), {Full("a")})
          .message(),
      HasSubstr(
          "tensor m.lora_A.weight of the next version would hold a value that is not finite"));
  const Rule fails([](Round& round) {
    return round.FoldModules(
        [](std::size_t, const Module&) -> Result<ModuleResult> {
          return InvalidArgumentError("no");
        },
        KeepBlock);
  });
  harness.input().threads = 3;
  EXPECT_EQ(harness.Step(fails, {Full("a")}), InvalidArgumentError("module m: no"));
  EXPECT_THAT(*ListDirectory(harness.directory()), testing::Not(testing::Contains("r1.next")));
  RoundHarness plain({1});
  EXPECT_THAT(plain.Step(Rule(KeepAll), {Sends("a", {1})}).message(),
              HasSubstr("the adapter has no LoRA factors"));
}

}  // namespace
}  // namespace tributary::aggregators

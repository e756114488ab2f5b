// What every strategy of the table must do (algorithms.md 0.3, U1 to U12), on an adapter with LoRA
// factors and another tensor. A strategy that is excepted says why.
//
// Of U7 to U9 and U11 this asserts what the engine does: it refuses the round and names the site.
// That the server rejects or quarantines the one update and goes on with the rest, counts a
// repeated report once and keeps a round open without a quorum is asserted in tests/server and
// tests/integration.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <optional>
#include <set>

#include "aggregators/module_list.h"
#include "core/random.h"
#include "tests/aggregators/round_harness.h"

namespace tributary::aggregators {
namespace {

using testing::HasSubstr;

// strategy -> reason
using Exceptions = std::map<std::string_view, std::string_view>;

// U2: more sites that say the same change nothing.
const Exceptions kDependsOnCount = {
    {"dare", "each site drops other coordinates"},
    {"fedasync", "absolute steps add up"},
    {"task-arithmetic", "a sum, not a mean"},
};

// U5: x -> x + c. Factor strategies keep this for products only.
const Exceptions kDependsOnPlace = {};

// U6: K = 1 makes x + factor * D_1, with the defaults; the factor, where it is not 1.
const std::map<std::string_view, double> kFirstStep = {
    {"diloco", 0.7 * 1.9},     // outer learning rate, Nesterov
    {"fedasync", 0.6},         // alpha
    {"feddyn", 2},             // D - h / alpha, h = -alpha D
    {"task-arithmetic", 0.4},  // scale
};
const Exceptions kNoFirstStep = {
    {"dare", "drops coordinates"},
    {"fedadagrad", "adaptive"},
    {"fedadam", "adaptive"},
    {"fedyogi", "adaptive"},
    {"ties", "keeps the largest values only"},
};

const std::vector<NamedFloats> kShapes = {
    {"m.lora_A.weight", std::vector<float>(15), {3, 5}},
    {"m.lora_B.weight", std::vector<float>(12), {4, 3}},
    {"n.lora_A.weight", std::vector<float>(6), {3, 2}},
    {"n.lora_B.weight", std::vector<float>(21), {7, 3}},
    {"z.bias", std::vector<float>(133), {133}},
};

std::vector<NamedFloats> Random(std::uint64_t seed, float scale = 1) {
  std::vector<NamedFloats> tensors = kShapes;
  for (NamedFloats& tensor : tensors) {
    tensor.values = RandomFloats(tensor.values.size(), DeriveSeed(seed, HashName(tensor.name)));
    for (float& value : tensor.values) value *= scale;
  }
  return tensors;
}

std::string SiteName(std::size_t k) { return "s" + std::to_string(10 + k); }

class UniversalTest : public testing::TestWithParam<const Strategy*> {
 protected:
  const Strategy& strategy() const { return *GetParam(); }
  bool lora() const { return strategy().family == "lora"; }

  std::unique_ptr<Aggregator> Make() const {
    std::map<std::string, std::string> options;
    if (strategy().kind == "fltrust") options = {{"root_site", SiteName(0)}};
    return MakeStrategy(std::string(strategy().kind), options);
  }
  std::size_t MinSites() const { return static_cast<std::size_t>(Make()->MinSites()); }

  // What a site sends in this round when its trainable tensors moved by `delta`.
  SiteUpdate Update(std::size_t k, std::int64_t round, std::vector<NamedFloats> delta) const {
    const TrainDirective directive = Make()->Directive(round);
    std::erase_if(delta, [&](const NamedFloats& tensor) {
      return Freezes(directive.frozen, tensor.name) ||
             (directive.keep_b_local && tensor.name.ends_with(kFactorB));
    });
    SiteUpdate update = Sends(SiteName(k), {}, static_cast<std::int64_t>(1 + k));
    update.contribution.steps = 4;
    update.contribution.learning_rate_sum = 0.4;
    update.tensors = delta;
    if (directive.offset == GradientOffset::kControlVariate) update.second = std::move(delta);
    return update;
  }
  std::vector<SiteUpdate> RandomUpdates(std::size_t sites, std::int64_t round,
                                        float scale = 0.01F) const {
    std::vector<SiteUpdate> updates;
    for (std::size_t k = 0; k < sites; ++k) {
      const auto seed = static_cast<std::uint64_t>(1000 * round) + k;
      updates.push_back(Update(k, round, Random(seed, scale)));
    }
    return updates;
  }
  std::size_t SomeSites() const { return std::max<std::size_t>(MinSites(), 5); }

  void ExpectNear(const RoundHarness& x, const RoundHarness& y, double tolerance) const {
    for (const NamedFloats& tensor : kShapes) {
      const auto a = x.Global(tensor.name);
      const auto b = y.Global(tensor.name);
      ASSERT_EQ(a.size(), b.size());
      for (std::size_t i = 0; i < a.size(); ++i) {
        ASSERT_NEAR(a[i], b[i], tolerance) << tensor.name << " " << i;
      }
    }
  }
};

TEST_P(UniversalTest, U1ZeroUpdatesLeaveTheBitsAlone) {
  if (lora()) GTEST_SKIP() << "asserted for products in tests/aggregators of the LoRA strategies";
  RoundHarness harness(Random(1));
  const auto before = harness.Digests().at("");
  ASSERT_EQ(harness.Step(*Make(), RandomUpdates(SomeSites(), 1, 0)), OkStatus());
  EXPECT_EQ(harness.Digests().at(""), before);
}

TEST_P(UniversalTest, U2IdenticalSitesActAsFewer) {
  if (kDependsOnCount.contains(strategy().kind)) {
    GTEST_SKIP() << kDependsOnCount.at(strategy().kind);
  }
  const auto fold = [&](RoundHarness& harness, std::size_t sites) {
    std::vector<SiteUpdate> updates;
    for (std::size_t k = 0; k < sites; ++k) updates.push_back(Update(k, 1, Random(2, 0.01F)));
    ASSERT_EQ(harness.Step(*Make(), updates), OkStatus());
  };
  RoundHarness few(Random(1));
  RoundHarness many(Random(1));
  fold(few, MinSites());
  fold(many, 2 * MinSites() + 3);
  ExpectNear(few, many, lora() ? 1e-4 : 1e-6);
}

TEST_P(UniversalTest, U3ArrivalAndThreadsDoNotChangeABit) {
  auto updates = RandomUpdates(SomeSites(), 1);
  RoundHarness one(Random(1));
  RoundHarness two(Random(1));
  one.input().threads = 1;
  two.input().threads = 3;
  ASSERT_EQ(one.Step(*Make(), updates), OkStatus());
  std::reverse(updates.begin(), updates.end());
  std::swap(updates[0], updates[1]);
  ASSERT_EQ(two.Step(*Make(), updates), OkStatus());
  EXPECT_EQ(one.Digests(), two.Digests());
  EXPECT_EQ(one.input().numbers, two.input().numbers);
}

TEST_P(UniversalTest, U4ScalingAllWeightsChangesNothing) {
  auto updates = RandomUpdates(SomeSites(), 1);
  RoundHarness one(Random(1));
  RoundHarness two(Random(1));
  ASSERT_EQ(one.Step(*Make(), updates), OkStatus());
  for (SiteUpdate& update : updates) update.contribution.samples *= 1000;
  ASSERT_EQ(two.Step(*Make(), updates), OkStatus());
  EXPECT_EQ(one.Digests(), two.Digests());
}

TEST_P(UniversalTest, U5AShiftedVersionShiftsTheNext) {
  if (lora()) GTEST_SKIP() << "holds on products only";
  if (kDependsOnPlace.contains(strategy().kind)) GTEST_SKIP();
  const auto updates = RandomUpdates(SomeSites(), 1);
  std::vector<NamedFloats> shifted = Random(1);
  for (NamedFloats& tensor : shifted) {
    for (float& value : tensor.values) value += 0.75F;
  }
  RoundHarness one(Random(1));
  RoundHarness two(shifted);
  ASSERT_EQ(one.Step(*Make(), updates), OkStatus());
  ASSERT_EQ(two.Step(*Make(), updates), OkStatus());
  for (const NamedFloats& tensor : kShapes) {
    const auto a = one.Global(tensor.name);
    const auto b = two.Global(tensor.name);
    for (std::size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i] + 0.75, b[i], 1e-6);
  }
}

TEST_P(UniversalTest, U6ASingleSiteIsTakenWhole) {
  if (lora()) GTEST_SKIP() << "holds on products only";
  if (kNoFirstStep.contains(strategy().kind)) GTEST_SKIP() << kNoFirstStep.at(strategy().kind);
  RoundHarness harness(Random(1));
  if (MinSites() > 1) {
    EXPECT_THAT(harness.Step(*Make(), RandomUpdates(1, 1)).message(), HasSubstr("needs at least"));
    return;
  }
  ASSERT_EQ(harness.Step(*Make(), {Update(0, 1, Random(2, 0.01F))}), OkStatus());
  const auto factor = kFirstStep.find(strategy().kind);
  const double step = factor == kFirstStep.end() ? 1 : factor->second;
  const auto x = Random(1);
  const auto d = Random(2, 0.01F);
  for (std::size_t t = 0; t < kShapes.size(); ++t) {
    const auto next = harness.Global(kShapes[t].name);
    for (std::size_t i = 0; i < next.size(); ++i) {
      ASSERT_NEAR(next[i], x[t].values[i] + step * d[t].values[i], 1e-6);
    }
  }
}

TEST_P(UniversalTest, U7AnotherManifestIsRefusedByName) {
  for (const std::string change : {"missing", "extra", "shape"}) {
    auto updates = RandomUpdates(SomeSites(), 1);
    auto& tensors = updates[2].tensors;
    if (change == "missing") tensors.pop_back();
    if (change == "extra") tensors.push_back({"extra", {1}});
    if (change == "shape") tensors.back().values.pop_back(), tensors.back().shape = {132};
    RoundHarness harness(Random(1));
    EXPECT_THAT(harness.Step(*Make(), updates).message(),
                HasSubstr("update of site " + SiteName(2) + ": tensor "));
  }
}

TEST_P(UniversalTest, U8WhatIsNotFiniteIsNeverPublished) {
  for (const float bad : {NAN, HUGE_VALF}) {
    auto updates = RandomUpdates(SomeSites(), 1);
    updates[1].tensors.back().values[7] = bad;
    RoundHarness harness(Random(1));
    if (!harness.Step(*Make(), updates).ok()) continue;
    for (const NamedFloats& tensor : kShapes) {
      for (const float value : harness.Global(tensor.name)) ASSERT_TRUE(std::isfinite(value));
    }
  }
}

TEST_P(UniversalTest, U9ASiteCountsOnce) {
  auto updates = RandomUpdates(SomeSites(), 1);
  updates.push_back(updates[1]);
  RoundHarness harness(Random(1));
  EXPECT_THAT(harness.Step(*Make(), updates).message(), HasSubstr("a round takes one from a site"));
}

TEST_P(UniversalTest, U10IntegersAreRefused) {
  RoundHarness harness(Random(1));
  std::vector<NamedFloats> tensors = Random(2);
  std::vector<HostTensor> host = ToHostTensors(tensors);
  host.back().spec.dtype = DType::kI32;
  const std::string path = harness.directory() + "/integers";
  ASSERT_TRUE(WriteSafetensors(path, host).ok());
  RoundInput input = harness.input();
  input.global_path = path;
  EXPECT_FALSE(FoldRound(*Make(), input, harness.directory(), "x").ok());
}

TEST_P(UniversalTest, U11TooFewSitesMakeNoVersion) {
  RoundHarness harness(Random(1));
  const auto before = harness.Digests();
  EXPECT_THAT(harness.Step(*Make(), RandomUpdates(MinSites() - 1, 1)).message(),
              HasSubstr("this strategy needs at least " + std::to_string(MinSites())));
  EXPECT_EQ(harness.Digests(), before);
  EXPECT_FALSE(PathExists(harness.directory() + "/r1.next"));
}

// Everything that lasts is in files and numbers: a new process goes on with the same bits.
TEST_P(UniversalTest, U12ResumesBitForBit) {
  const std::size_t sites = SomeSites();
  RoundHarness whole(Random(1));
  const auto aggregator = Make();
  for (std::int64_t round = 1; round <= 2; ++round) {
    ASSERT_EQ(whole.Step(*aggregator, RandomUpdates(sites, round)), OkStatus());
  }
  RoundHarness resumed(Random(1));
  resumed.input() = whole.input();
  const auto copy = [&](std::string* path, const std::string& name) {
    const std::string to = resumed.directory() + "/" + name;
    ASSERT_EQ(WriteFileAtomic(to, *ReadFile(*path)), OkStatus());
    *path = to;
  };
  copy(&resumed.input().global_path, "copy");
  int count = 0;
  for (auto& [name, path] : resumed.input().state) copy(&path, "state" + std::to_string(++count));
  for (std::int64_t round = 3; round <= 4; ++round) {
    ASSERT_EQ(whole.Step(*aggregator, RandomUpdates(sites, round)), OkStatus());
    ASSERT_EQ(resumed.Step(*Make(), RandomUpdates(sites, round)), OkStatus());
    EXPECT_EQ(whole.Digests(), resumed.Digests());
    EXPECT_EQ(whole.input().numbers, resumed.input().numbers);
  }
}

INSTANTIATE_TEST_SUITE_P(Strategies, UniversalTest,
                         testing::ValuesIn(Strategies().begin(), Strategies().end()),
                         [](const auto& info) {
                           std::string name(info.param->kind);
                           std::erase(name, '-');
                           return name;
                         });

}  // namespace
}  // namespace tributary::aggregators

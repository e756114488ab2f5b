// Rounds of random modules, and what their effective weights are in dense arithmetic.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "aggregators/lora/fed_ex_lora.h"
#include "aggregators/lora/fed_it.h"
#include "aggregators/lora/fed_p_lora.h"
#include "aggregators/lora/fed_rot_lora.h"
#include "aggregators/lora/fed_sa_lora.h"
#include "aggregators/lora/fed_sb.h"
#include "aggregators/lora/fed_svd.h"
#include "aggregators/lora/ffa_lora.h"
#include "aggregators/lora/flex_lora.h"
#include "aggregators/lora/flora.h"
#include "aggregators/lora/fold_flex.h"
#include "aggregators/lora/het_lora.h"
#include "aggregators/lora/lora_fair.h"
#include "aggregators/lora/ra_flora.h"
#include "aggregators/lora/rbla.h"
#include "aggregators/lora/ro_lora.h"
#include "tests/aggregators/lora/dense.h"
#include "tests/aggregators/lora/memory_round.h"

namespace tributary::aggregators {

inline std::vector<const Strategy*> LoraStrategies() {
  return {&FedItStrategy(),      &ZeroPadStrategy(),   &RblaStrategy(),      &FfaLoraStrategy(),
          &RoLoraStrategy(),     &FloraStrategy(),     &FlexLoraStrategy(),  &HetLoraStrategy(),
          &RaFloraStrategy(),    &FedExLoraStrategy(), &FedSaLoraStrategy(), &LoraFairStrategy(),
          &FedRotLoraStrategy(), &FedSbStrategy(),     &FedPLoraStrategy(),  &FedSvdStrategy(),
          &FoldFlexStrategy()};
}

using Given = std::map<std::string, std::string>;

inline std::unique_ptr<Aggregator> Make(const Strategy& strategy, const Given& given = {}) {
  AggregatorSection section;
  section.kind = strategy.kind;
  section.options = given;
  auto options = Options::Read(given, strategy.options);
  EXPECT_TRUE(options.ok()) << options.status();
  auto made = strategy.make(section, *options);
  EXPECT_TRUE(made.ok()) << made.status();
  return std::move(made).value();
}

struct Sample {
  std::vector<std::int64_t> site_ranks = {4, 4, 4};
  std::vector<std::int64_t> samples = {};  // empty: 100, 200, ...
  std::int64_t out = 13;
  std::int64_t in = 11;
  std::int64_t rank = 4;
  double scale = 2;
  double drift = 0.2;   // of the sites' factors; 0: nobody trains
  bool zero_b = false;  // a fresh adapter
  std::uint64_t seed = 1;
};

inline void Drift(std::vector<float>& values, double size, std::uint64_t seed) {
  SplitMix64 random(seed);
  for (float& value : values) value += static_cast<float>(size * (2 * random.Unit() - 1));
}

// What sites make of `start` under the directive.
inline std::vector<Factors> TrainedSites(const Sample& sample, const TrainDirective& directive,
                                         const Factors& start,
                                         const std::vector<Contribution>& contributions) {
  std::vector<Factors> sites;
  for (std::size_t k = 0; k < contributions.size(); ++k) {
    Factors site = TakeRanks(start, contributions[k].ranks, sample.out, sample.in);
    const std::uint64_t seed = DeriveSeed(sample.seed, k);
    const FrozenFactor frozen = directive.frozen;
    if (frozen == FrozenFactor::kNone || frozen == FrozenFactor::kB) {
      Drift(site.a, sample.drift, seed);
    }
    if ((frozen == FrozenFactor::kNone || frozen == FrozenFactor::kA) && !directive.keep_b_local) {
      Drift(site.b, sample.drift, seed + 1);
    }
    sites.push_back(std::move(site));
  }
  return sites;
}

inline MemoryRound SampleRound(const Aggregator& aggregator, const Sample& sample,
                               std::int64_t number = 1) {
  MemoryRound round;
  round.at_round = number;
  const TrainDirective directive = aggregator.Directive(number);
  for (std::size_t k = 0; k < sample.site_ranks.size(); ++k) {
    Contribution& site = round.sites.emplace_back();
    site.site = std::string(1, static_cast<char>('a' + k));
    site.samples =
        sample.samples.empty() ? 100 * static_cast<std::int64_t>(k + 1) : sample.samples[k];
    if (sample.site_ranks[k] < sample.rank) {
      site.ranks = TrainedRanks(directive.ranks, sample.rank, sample.site_ranks[k], k);
    }
  }
  MemoryModule& module = round.modules.emplace_back();
  module.out = sample.out;
  module.in = sample.in;
  module.scale = sample.scale;
  module.global = RandomFactors(sample.rank, sample.out, sample.in, sample.seed);
  if (sample.zero_b) std::fill(module.global.b.begin(), module.global.b.end(), 0.0F);
  module.sites = TrainedSites(sample, directive, module.global, round.sites);
  return round;
}

inline std::vector<double> Weights(const MemoryRound& round) {
  double total = 0;
  std::vector<double> weights;
  for (const Contribution& c : round.sites) total += static_cast<double>(c.samples);
  for (const Contribution& c : round.sites) {
    weights.push_back(static_cast<double>(c.samples) / total);
  }
  return weights;
}

// s B A of the version that the round started from.
inline Matrix Before(const MemoryRound& round) {
  return round.modules[0].scale * Product(round.modules[0].global);
}

// s B A of the next version and what was merged.
inline Matrix After(const MemoryRound& round) {
  const ModuleResult& result = round.results.at(0);
  Matrix after = round.modules[0].scale * Product(result.next);
  if (result.merged.rank > 0) after += Product(result.merged);
  return after;
}

// The ranks of the version that site k did not train.
inline Matrix Tail(const MemoryRound& round, std::size_t k) {
  const MemoryModule& module = round.modules[0];
  if (round.sites[k].ranks.empty()) return Matrix::Zero(module.out, module.in);
  const Factors trained = TakeRanks(module.global, round.sites[k].ranks, module.out, module.in);
  return Before(round) - module.scale * Product(trained);
}

// sum_k p_k s (B_k A_k [+ tail_k]).
inline Matrix MeanOfSites(const MemoryRound& round, bool with_tails) {
  const MemoryModule& module = round.modules[0];
  const std::vector<double> weights = Weights(round);
  Matrix mean = Matrix::Zero(module.out, module.in);
  for (std::size_t k = 0; k < weights.size(); ++k) {
    mean += weights[k] * module.scale * Product(module.sites[k]);
    if (with_tails) mean += weights[k] * Tail(round, k);
  }
  return mean;
}

inline constexpr double kFloat = 2e-5;  // rounding of fp32 factors of these samples

// The product after the fold.
inline Matrix Folded(const Strategy& strategy, MemoryRound& round, const Given& given = {}) {
  const auto aggregator = Make(strategy, given);
  const Status status = aggregator->Fold(round);
  EXPECT_TRUE(status.ok()) << status;
  return After(round);
}

}  // namespace tributary::aggregators

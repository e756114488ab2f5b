#include "aggregators/lora/flora.h"

#include <array>
#include <cmath>

#include "aggregators/lora/rank_mean.h"
#include "aggregators/low_rank.h"
#include "core/random.h"

namespace tributary::aggregators {
namespace {

constexpr std::array<OptionSpec, 1> kFloraOptions = {
    {{.name = "merged_rank",
      .meaning = "largest rank of a round's merged product; 0: all of it, exact",
      .fallback = 0,
      .least = 0,
      .most = 65536,
      .whole = true}}};

// PEFT's initialisation: A uniform in +-1/sqrt(in), B zero.
Factors FreshAdapter(const LoraRound& round, const Module& module) {
  const auto rank = module.global.rank;
  Factors fresh{rank, std::vector<float>(static_cast<std::size_t>(rank * module.in)),
                std::vector<float>(static_cast<std::size_t>(rank * module.out))};
  const std::uint64_t seed = DeriveSeed(round.seed, static_cast<std::uint64_t>(round.number));
  SplitMix64 random(DeriveSeed(seed, HashName(module.name)));
  const double bound = 1 / std::sqrt(static_cast<double>(module.in));
  for (float& value : fresh.a) value = static_cast<float>((2 * random.Unit() - 1) * bound);
  return fresh;
}

class Flora final : public LoraAggregator {
 public:
  Flora(const AggregatorSection& section, const Options& options)
      : LoraAggregator(section), merged_rank_(options.Integer("merged_rank")) {}

  bool Merges() const override { return true; }

  TrainDirective Directive(std::int64_t) const override {
    TrainDirective directive;
    directive.fold_untrained_ranks = true;
    return directive;
  }

 protected:
  Result<ModuleResult> FoldModule(const LoraRound& round, const Module& module) const override {
    ModuleResult result{.next = FreshAdapter(round, module), .merged = {}};
    const StackedProduct product = Stack(round, module);
    if (merged_rank_ == 0 || product.rank() <= merged_rank_) {
      result.merged = product.ToFactors();
      return result;
    }
    TRIBUTARY_ASSIGN_OR_RETURN(const SingularTriplets triplets, product.Svd(merged_rank_));
    result.merged = SplitTriplets(triplets, 0, triplets.rank(), Split::kSymmetric, 1);
    result.dropped_energy = triplets.dropped_energy;
    return result;
  }

 private:
  static StackedProduct Stack(const LoraRound& round, const Module& module) {
    StackedProduct product(module.out, module.in);
    for (std::size_t k = 0; k < module.sites.size(); ++k) {
      product.AddLive(module.sites[k], round.weights[k] * module.scale);
    }
    std::vector<double> tail = MissingMass(round, module.global.rank);
    for (double& weight : tail) weight *= module.scale;
    product.AddLive(module.global, tail);
    return product;
  }

  const std::int64_t merged_rank_;
};

}  // namespace

const Strategy& FloraStrategy() {
  static const Strategy strategy{
      .kind = "flora",
      .family = "lora",
      .summary = "merges the stacked products into the base, restarts the adapter: exact",
      .paper = "arXiv:2409.05976",
      .capabilities = {.needs = Needs::kFactors,
                       .lossy_compression = false,
                       .mixed_ranks = true,
                       .lora_only = true,
                       .equal_ranks_exact = true},
      .options = kFloraOptions,
      .make = &MakeOnProducts<Flora>};
  return strategy;
}

}  // namespace tributary::aggregators

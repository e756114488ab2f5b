#include "aggregators/lora/flex_lora.h"

#include <array>

#include "aggregators/lora/rank_mean.h"
#include "aggregators/lora/split_option.h"
#include "aggregators/low_rank.h"

namespace tributary::aggregators {
namespace {

constexpr std::array<OptionSpec, 1> kFlexLoraOptions = {kSplitOption};

class FlexLora final : public LoraAggregator {
 public:
  FlexLora(const AggregatorSection& section, const Options& options)
      : LoraAggregator(section), split_(ReadSplit(options)) {}

 protected:
  Result<ModuleResult> FoldModule(const LoraRound& round, const Module& module) const override {
    TRIBUTARY_ASSIGN_OR_RETURN(const SingularTriplets triplets,
                               Stack(round, module).Svd(module.global.rank));
    return ModuleResult{.next = NextFactors(triplets, split_, module.scale, module.global),
                        .merged = {},
                        .dropped_energy = triplets.dropped_energy};
  }

 private:
  static StackedProduct Stack(const LoraRound& round, const Module& module) {
    StackedProduct product(module.out, module.in);
    for (std::size_t k = 0; k < module.sites.size(); ++k) {
      product.Add(module.sites[k], round.weights[k] * module.scale);
    }
    return product;
  }

  const Split split_;
};

}  // namespace

const Strategy& FlexLoraStrategy() {
  static const Strategy strategy{
      .kind = "flexlora",
      .family = "lora",
      .summary = "truncated SVD of the mean product; high ranks fade under mixed ranks",
      .paper = "arXiv:2402.11505, arXiv:2503.00813",
      .capabilities = {.needs = Needs::kFactors,
                       .lossy_compression = false,
                       .mixed_ranks = true,
                       .lora_only = true},
      .options = kFlexLoraOptions,
      .make = &MakeOnProducts<FlexLora>};
  return strategy;
}

}  // namespace tributary::aggregators

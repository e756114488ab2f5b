#include "aggregators/lora/ra_flora.h"

#include <array>

#include "aggregators/lora/rank_mean.h"
#include "aggregators/lora/split_option.h"
#include "aggregators/low_rank.h"

namespace tributary::aggregators {
namespace {

constexpr std::array<OptionSpec, 1> kRaFloraOptions = {kSplitOption};

class RaFlora final : public LoraAggregator {
 public:
  RaFlora(const AggregatorSection& section, const Options& options)
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
    const std::vector<double> mass = RankMass(round, module.global.rank);
    for (std::size_t k = 0; k < module.sites.size(); ++k) {
      std::vector<double> weights;
      for (std::int64_t i = 0; i < module.sites[k].rank; ++i) {
        const auto j = static_cast<std::size_t>(TrainedRank(round.contributions[k], i));
        weights.push_back(mass[j] > 0 ? module.scale * round.weights[k] / mass[j] : 0);
      }
      product.Add(module.sites[k], weights);
    }
    std::vector<double> untouched;
    for (const double m : mass) untouched.push_back(m > 0 ? 0 : module.scale);
    product.Add(module.global, untouched);
    return product;
  }

  const Split split_;
};

}  // namespace

const Strategy& RaFloraStrategy() {
  static const Strategy strategy{
      .kind = "raflora",
      .family = "lora",
      .summary = "flexlora with each rank averaged over the sites that have it: no collapse",
      .paper = "arXiv:2602.13486",
      .capabilities = {.needs = Needs::kFactors,
                       .lossy_compression = false,
                       .mixed_ranks = true,
                       .lora_only = true},
      .options = kRaFloraOptions,
      .make = &MakeOnProducts<RaFlora>};
  return strategy;
}

}  // namespace tributary::aggregators

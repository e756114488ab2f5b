#include "aggregators/lora/fold_flex.h"

#include <algorithm>
#include <array>

#include "aggregators/lora/rank_mean.h"
#include "aggregators/low_rank.h"

namespace tributary::aggregators {
namespace {

constexpr double kFactorRounding = 1e-7;  // of fp32 factors, against the largest singular value

constexpr std::array<std::string_view, 2> kModes = {"budget", "exact"};
constexpr std::array<OptionSpec, 2> kFoldFlexOptions = {
    {{.name = "mode",
      .meaning = "what is beyond the global rank: dropped (budget) or merged into the base (exact)",
      .words = kModes},
     {.name = "tolerance",
      .meaning = "part of the energy that mode exact may drop to merge fewer ranks",
      .fallback = 0,
      .least = 0,
      .most = 0.5}}};

double Square(double value) { return value * value; }

class FoldFlex final : public LoraAggregator {
 public:
  FoldFlex(const AggregatorSection& section, const Options& options)
      : LoraAggregator(section),
        exact_(options.Word("mode") == "exact"),
        tolerance_(options.Number("tolerance")) {}

  bool Merges() const override { return exact_; }

  TrainDirective Directive(std::int64_t) const override {
    TrainDirective directive;
    directive.fold_untrained_ranks = true;
    return directive;
  }

 protected:
  Result<ModuleResult> FoldModule(const LoraRound& round, const Module& module) const override {
    const StackedProduct product = Stack(round, module);
    const std::int64_t rank = module.global.rank;
    TRIBUTARY_ASSIGN_OR_RETURN(const SingularTriplets triplets,
                               product.Svd(exact_ ? product.rank() : rank));
    ModuleResult result{
        .next = NextFactors(triplets, Split::kSymmetric, module.scale, module.global),
        .merged = {},
        .dropped_energy = triplets.dropped_energy};
    if (!exact_ || triplets.rank() <= rank) return result;
    const std::int64_t end = std::max(rank, MergedEnd(triplets));
    result.merged = SplitTriplets(triplets, rank, end, Split::kSymmetric, 1);
    for (std::int64_t j = end; j < triplets.rank(); ++j) {
      result.dropped_energy += Square(triplets.sigma[static_cast<std::size_t>(j)]);
    }
    return result;
  }

 private:
  static StackedProduct Stack(const LoraRound& round, const Module& module) {
    StackedProduct product(module.out, module.in);
    for (std::size_t k = 0; k < module.sites.size(); ++k) {
      product.Add(module.sites[k], round.weights[k] * module.scale);
    }
    std::vector<double> tail = MissingMass(round, module.global.rank);
    for (double& weight : tail) weight *= module.scale;
    product.Add(module.global, tail);
    return product;
  }

  // The first component that is not merged.
  std::int64_t MergedEnd(const SingularTriplets& triplets) const {
    double energy = 0;
    for (const double sigma : triplets.sigma) energy += Square(sigma);
    std::int64_t end = triplets.NumericalRank(kFactorRounding);
    double dropped = 0;
    while (end > 0) {
      dropped += Square(triplets.sigma[static_cast<std::size_t>(end - 1)]);
      if (dropped > tolerance_ * energy) break;
      --end;
    }
    return end;
  }

  const bool exact_;
  const double tolerance_;
};

}  // namespace

const Strategy& FoldFlexStrategy() {
  static const Strategy strategy{
      .kind = "foldflex",
      .family = "lora",
      .summary = "SVD of the mean product with untrained ranks folded in: no collapse",
      .paper = "",
      .capabilities = {.needs = Needs::kFactors,
                       .lossy_compression = false,
                       .mixed_ranks = true,
                       .lora_only = true},
      .options = kFoldFlexOptions,
      .make = &MakeOnProducts<FoldFlex>,
      .experimental = true};
  return strategy;
}

}  // namespace tributary::aggregators

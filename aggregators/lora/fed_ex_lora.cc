#include "aggregators/lora/fed_ex_lora.h"

#include <algorithm>
#include <array>

#include "aggregators/lora/rank_mean.h"
#include "aggregators/low_rank.h"

namespace tributary::aggregators {
namespace {

// Singular values of the residual below this part of the largest are rounding of fp32 factors.
constexpr double kKeptAbove = 1e-7;

constexpr std::array<OptionSpec, 1> kFedExLoraOptions = {
    {{.name = "residual_rank",
      .meaning = "largest rank of a round's merged residual; 0: all of it, exact",
      .fallback = 0,
      .least = 0,
      .most = 65536,
      .whole = true}}};

class FedExLora final : public LoraAggregator {
 public:
  FedExLora(const AggregatorSection& section, const Options& options)
      : LoraAggregator(section), residual_rank_(options.Integer("residual_rank")) {}

  bool Merges() const override { return true; }

  TrainDirective Directive(std::int64_t) const override {
    TrainDirective directive;
    directive.fold_untrained_ranks = true;
    return directive;
  }

 protected:
  Result<ModuleResult> FoldModule(const LoraRound& round, const Module& module) const override {
    ModuleResult result{.next = MeanFactors(round, module, {.missing = Missing::kKept}),
                        .merged = {}};
    const StackedProduct residual = Residual(round, module, result.next);
    TRIBUTARY_ASSIGN_OR_RETURN(const SingularTriplets triplets, residual.Svd(residual.rank()));
    const std::int64_t most = residual_rank_ == 0 ? triplets.rank() : residual_rank_;
    const std::int64_t kept = std::min(most, triplets.NumericalRank(kKeptAbove));
    result.merged = SplitTriplets(triplets, 0, kept, Split::kSymmetric, 1);
    for (std::int64_t j = kept; j < triplets.rank(); ++j) {
      const double sigma = triplets.sigma[static_cast<std::size_t>(j)];
      result.dropped_energy += sigma * sigma;
    }
    return result;
  }

 private:
  static StackedProduct Residual(const LoraRound& round, const Module& module,
                                 const Factors& mean) {
    StackedProduct residual(module.out, module.in);
    for (std::size_t k = 0; k < module.sites.size(); ++k) {
      const Factors of_site = Deviation(round.contributions[k], module.sites[k], mean, module);
      residual.AddLive(of_site.View(), round.weights[k] * module.scale);
    }
    std::vector<double> missing = MissingMass(round, mean.rank);
    for (double& weight : missing) weight *= module.scale;
    residual.AddLive(Deviation({}, module.global, mean, module).View(), missing);
    return residual;
  }

  const std::int64_t residual_rank_;
};

}  // namespace

const Strategy& FedExLoraStrategy() {
  static const Strategy strategy{
      .kind = "fedex-lora",
      .family = "lora",
      .summary = "means of A and B, and their error merged into the base: exact",
      .paper = "arXiv:2410.09432",
      .capabilities = {.needs = Needs::kFactors,
                       .lossy_compression = false,
                       .mixed_ranks = true,
                       .lora_only = true,
                       .equal_ranks_exact = true},
      .options = kFedExLoraOptions,
      .make = &MakeOnProducts<FedExLora>};
  return strategy;
}

}  // namespace tributary::aggregators

#include "aggregators/lora/fed_svd.h"

#include <array>

#include "aggregators/lora/rank_mean.h"
#include "aggregators/low_rank.h"

namespace tributary::aggregators {
namespace {

constexpr std::array<OptionSpec, 1> kFedSvdOptions = {
    {{.name = "period",
      .meaning = "rounds between refactorisations",
      .fallback = 1,
      .least = 1,
      .most = 1000,
      .whole = true}}};

class FedSvd final : public LoraAggregator {
 public:
  FedSvd(const AggregatorSection& section, const Options& options)
      : LoraAggregator(section), period_(options.Integer("period")) {}

  TrainDirective Directive(std::int64_t) const override {
    TrainDirective directive;
    directive.frozen = FrozenFactor::kA;
    return directive;
  }

 protected:
  Result<ModuleResult> FoldModule(const LoraRound& round, const Module& module) const override {
    TRIBUTARY_RETURN_IF_ERROR(RequireAllRanks(round, module));
    const MeanRule rule{.a = false, .rate = section().server_learning_rate};
    ModuleResult result{.next = MeanFactors(round, module, rule), .merged = {}};
    if (round.number % period_ != 0) return result;
    StackedProduct product(module.out, module.in);
    // All ranks, also those with B = 0: the row space of A is that of all its rows.
    product.Add(result.next.View(), 1);
    TRIBUTARY_ASSIGN_OR_RETURN(const SingularTriplets triplets, product.Svd(module.global.rank));
    result.next = NextFactors(triplets, Split::kLeft, 1, module.global);
    return result;
  }

 private:
  const std::int64_t period_;
};

}  // namespace

const Strategy& FedSvdStrategy() {
  static const Strategy strategy{.kind = "fedsvd",
                                 .family = "lora",
                                 .summary = "mean of B, then A made orthonormal by an SVD: exact",
                                 .paper = "arXiv:2505.12805",
                                 .capabilities = {.needs = Needs::kFactors,
                                                  .secure_sum = true,
                                                  .site_privacy = true,
                                                  .lora_only = true,
                                                  .equal_ranks_exact = true},
                                 .options = kFedSvdOptions,
                                 .make = &MakeLora<FedSvd>};
  return strategy;
}

}  // namespace tributary::aggregators

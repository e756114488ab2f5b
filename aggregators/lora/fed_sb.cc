#include "aggregators/lora/fed_sb.h"

#include "aggregators/lora/rank_mean.h"

namespace tributary::aggregators {
namespace {

class FedSb final : public LoraAggregator {
 public:
  FedSb(const AggregatorSection& section, const Options&) : LoraAggregator(section) {}

  TrainDirective Directive(std::int64_t) const override {
    TrainDirective directive;
    directive.frozen = FrozenFactor::kBoth;
    return directive;
  }

 protected:
  // C is no LoRA factor: the base class averages it with all other tensors.
  Result<ModuleResult> FoldModule(const LoraRound& round, const Module& module) const override {
    TRIBUTARY_RETURN_IF_ERROR(RequireAllRanks(round, module));
    return ModuleResult{.next = MeanFactors(round, module, {.a = false, .b = false}), .merged = {}};
  }
};

}  // namespace

const Strategy& FedSbStrategy() {
  static const Strategy strategy{.kind = "fed-sb",
                                 .family = "lora",
                                 .summary = "mean of a small matrix between fixed factors: exact",
                                 .paper = "arXiv:2502.15436",
                                 .capabilities = {.needs = Needs::kFactors,
                                                  .secure_sum = true,
                                                  .site_privacy = true,
                                                  .lora_only = true,
                                                  .asynchronous = true,
                                                  .equal_ranks_exact = true},
                                 .options = {},
                                 .make = &MakeLora<FedSb>};
  return strategy;
}

}  // namespace tributary::aggregators

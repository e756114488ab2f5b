#include "aggregators/lora/fed_p_lora.h"

#include "aggregators/lora/rank_mean.h"

namespace tributary::aggregators {
namespace {

class FedPLora final : public LoraAggregator {
 public:
  FedPLora(const AggregatorSection& section, const Options&) : LoraAggregator(section) {}

  TrainDirective Directive(std::int64_t) const override {
    TrainDirective directive;
    directive.ranks = RankChoice::kSeeded;
    directive.fold_untrained_ranks = true;
    return directive;
  }

 protected:
  Result<ModuleResult> FoldModule(const LoraRound& round, const Module& module) const override {
    return ModuleResult{
        .next = MeanFactors(round, module, {.rate = section().server_learning_rate}), .merged = {}};
  }
};

}  // namespace

const Strategy& FedPLoraStrategy() {
  static const Strategy strategy{
      .kind = "fed-plora",
      .family = "lora",
      .summary = "sites train ranks they draw and fold the others: rank by rank means",
      .paper = "arXiv:2602.16936",
      .capabilities = {.needs = Needs::kFactors, .mixed_ranks = true, .lora_only = true},
      .options = {},
      .make = &MakeLora<FedPLora>};
  return strategy;
}

}  // namespace tributary::aggregators

#include "aggregators/lora/lora_aggregator.h"

#include <string>

#include "aggregators/weights.h"

namespace tributary::aggregators {
namespace {

void FoldMean(std::span<const double> weights, double rate, const Block& block) {
  for (std::size_t i = 0; i < block.global.size(); ++i) {
    double step = 0;
    for (std::size_t k = 0; k < weights.size(); ++k) step += weights[k] * block.updates[k][i];
    block.global[i] = static_cast<float>(block.global[i] + rate * step);
  }
}

}  // namespace

Result<std::vector<double>> LoraAggregator::Weights(Round& round) const {
  return NormalisedWeights(section_, round.contributions());
}

Status LoraAggregator::Fold(Round& round) const {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<double> weights, Weights(round));
  const LoraRound facts{round.number(), round.seed(), round.contributions(), weights};
  const auto fold_module = [&](std::size_t, const Module& module) -> Result<ModuleResult> {
    if (!(module.scale > 0)) {
      return InvalidArgumentError("the LoRA scale is " + std::to_string(module.scale) +
                                  "; must be above 0 (adapter.alpha / adapter.rank)");
    }
    return FoldModule(facts, module);
  };
  return round.FoldModules(fold_module, [&](const Block& block) {
    FoldMean(weights, section_.server_learning_rate, block);
  });
}

Status RequireUnitServerRate(const AggregatorSection& section) {
  if (section.server_learning_rate == 1) return OkStatus();
  return InvalidArgumentError(
      "aggregator.server_learning_rate: " + std::to_string(section.server_learning_rate) +
      " is not allowed with kind " + section.kind +
      ", which makes new factors from products; must be 1");
}

}  // namespace tributary::aggregators

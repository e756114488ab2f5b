#include "aggregators/lora/rbla.h"

#include "aggregators/lora/rank_mean.h"

namespace tributary::aggregators {
namespace {

class Rbla final : public LoraAggregator {
 public:
  Rbla(const AggregatorSection& section, const Options&) : LoraAggregator(section) {}

 protected:
  Result<ModuleResult> FoldModule(const LoraRound& round, const Module& module) const override {
    return ModuleResult{
        .next = MeanFactors(round, module, {.rate = section().server_learning_rate}), .merged = {}};
  }
};

}  // namespace

const Strategy& RblaStrategy() {
  static const Strategy strategy{
      .kind = "rbla",
      .family = "lora",
      .summary = "mean of A and of B, rank by rank, over the sites that have the rank",
      .paper = "arXiv:2408.08699",
      .capabilities = {.needs = Needs::kFactors, .mixed_ranks = true, .lora_only = true},
      .options = {},
      .make = &MakeLora<Rbla>};
  return strategy;
}

}  // namespace tributary::aggregators

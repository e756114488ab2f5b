#include "aggregators/lora/ffa_lora.h"

#include "aggregators/lora/rank_mean.h"

namespace tributary::aggregators {
namespace {

class FfaLora final : public LoraAggregator {
 public:
  FfaLora(const AggregatorSection& section, const Options&) : LoraAggregator(section) {}

  TrainDirective Directive(std::int64_t) const override {
    TrainDirective directive;
    directive.frozen = FrozenFactor::kA;
    return directive;
  }

 protected:
  Result<ModuleResult> FoldModule(const LoraRound& round, const Module& module) const override {
    const MeanRule rule{.a = false, .rate = section().server_learning_rate};
    return ModuleResult{.next = MeanFactors(round, module, rule), .merged = {}};
  }
};

}  // namespace

const Strategy& FfaLoraStrategy() {
  static const Strategy strategy{.kind = "ffa-lora",
                                 .family = "lora",
                                 .summary = "A frozen for ever, mean of B: exact, half the traffic",
                                 .paper = "arXiv:2403.12313",
                                 .capabilities = {.needs = Needs::kFactors,
                                                  .secure_sum = true,
                                                  .site_privacy = true,
                                                  .mixed_ranks = true,
                                                  .lora_only = true,
                                                  .asynchronous = true,
                                                  .equal_ranks_exact = true},
                                 .options = {},
                                 .make = &MakeLora<FfaLora>};
  return strategy;
}

}  // namespace tributary::aggregators

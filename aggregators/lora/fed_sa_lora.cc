#include "aggregators/lora/fed_sa_lora.h"

#include "aggregators/lora/rank_mean.h"

namespace tributary::aggregators {
namespace {

class FedSaLora final : public LoraAggregator {
 public:
  FedSaLora(const AggregatorSection& section, const Options&) : LoraAggregator(section) {}

  TrainDirective Directive(std::int64_t) const override {
    TrainDirective directive;
    directive.keep_b_local = true;
    return directive;
  }

 protected:
  Result<ModuleResult> FoldModule(const LoraRound& round, const Module& module) const override {
    TRIBUTARY_RETURN_IF_ERROR(RequireAllRanks(round, module));
    const MeanRule rule{.b = false, .rate = section().server_learning_rate};
    return ModuleResult{.next = MeanFactors(round, module, rule), .merged = {}};
  }
};

}  // namespace

const Strategy& FedSaLoraStrategy() {
  static const Strategy strategy{.kind = "fedsa-lora",
                                 .family = "lora",
                                 .summary = "mean of A, B stays at its site: personalised",
                                 .paper = "arXiv:2410.01463",
                                 .capabilities = {.needs = Needs::kFactors,
                                                  .secure_sum = true,
                                                  .site_privacy = true,
                                                  .lora_only = true,
                                                  .site_state = true,
                                                  .personalised = true},
                                 .options = {},
                                 .make = &MakeLora<FedSaLora>};
  return strategy;
}

}  // namespace tributary::aggregators

#include "aggregators/lora/fed_it.h"

#include "aggregators/lora/rank_mean.h"

namespace tributary::aggregators {
namespace {

class FedIt final : public LoraAggregator {
 public:
  FedIt(const AggregatorSection& section, const Options&) : LoraAggregator(section) {}

 protected:
  Result<ModuleResult> FoldModule(const LoraRound& round, const Module& module) const override {
    TRIBUTARY_RETURN_IF_ERROR(RequireAllRanks(round, module));
    return ModuleResult{
        .next = MeanFactors(round, module, {.rate = section().server_learning_rate}), .merged = {}};
  }
};

class ZeroPad final : public LoraAggregator {
 public:
  ZeroPad(const AggregatorSection& section, const Options&) : LoraAggregator(section) {}

 protected:
  Result<ModuleResult> FoldModule(const LoraRound& round, const Module& module) const override {
    const MeanRule rule{.missing = Missing::kZero, .rate = section().server_learning_rate};
    return ModuleResult{.next = MeanFactors(round, module, rule), .merged = {}};
  }
};

}  // namespace

const Strategy& FedItStrategy() {
  static const Strategy strategy{
      .kind = "fedit",
      .family = "lora",
      .summary = "mean of A and mean of B",
      .paper = "arXiv:2305.05644",
      .capabilities = {.needs = Needs::kFactors, .secure_sum = true, .lora_only = true},
      .options = {},
      .make = &MakeLora<FedIt>};
  return strategy;
}

const Strategy& ZeroPadStrategy() {
  static const Strategy strategy{
      .kind = "zero-pad",
      .family = "lora",
      .summary = "fedit with zeros for ranks a site did not train; a baseline, ranks collapse",
      .paper = "arXiv:2305.05644",
      .capabilities = {.needs = Needs::kFactors, .mixed_ranks = true, .lora_only = true},
      .options = {},
      .make = &MakeLora<ZeroPad>};
  return strategy;
}

}  // namespace tributary::aggregators

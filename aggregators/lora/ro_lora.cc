#include "aggregators/lora/ro_lora.h"

#include <array>

#include "aggregators/lora/rank_mean.h"

namespace tributary::aggregators {
namespace {

constexpr std::array<OptionSpec, 1> kRoLoraOptions = {{{.name = "phase_length",
                                                        .meaning = "rounds until B and A swap",
                                                        .fallback = 1,
                                                        .least = 1,
                                                        .most = 1000,
                                                        .whole = true}}};

class RoLora final : public LoraAggregator {
 public:
  RoLora(const AggregatorSection& section, const Options& options)
      : LoraAggregator(section), phase_length_(options.Integer("phase_length")) {}

  TrainDirective Directive(std::int64_t round) const override {
    TrainDirective directive;
    directive.frozen = TrainsB(round) ? FrozenFactor::kA : FrozenFactor::kB;
    return directive;
  }

 protected:
  Result<ModuleResult> FoldModule(const LoraRound& round, const Module& module) const override {
    TRIBUTARY_RETURN_IF_ERROR(RequireAllRanks(round, module));
    const bool b = TrainsB(round.number);
    const MeanRule rule{.a = !b, .b = b, .rate = section().server_learning_rate};
    return ModuleResult{.next = MeanFactors(round, module, rule), .merged = {}};
  }

 private:
  bool TrainsB(std::int64_t round) const { return (round - 1) / phase_length_ % 2 == 0; }

  const std::int64_t phase_length_;
};

}  // namespace

const Strategy& RoLoraStrategy() {
  static const Strategy strategy{.kind = "rolora",
                                 .family = "lora",
                                 .summary = "trains and averages B and A in turn: exact",
                                 .paper = "arXiv:2409.02346, arXiv:2502.01755",
                                 .capabilities = {.needs = Needs::kFactors,
                                                  .secure_sum = true,
                                                  .site_privacy = true,
                                                  .lora_only = true,
                                                  .equal_ranks_exact = true},
                                 .options = kRoLoraOptions,
                                 .make = &MakeLora<RoLora>};
  return strategy;
}

}  // namespace tributary::aggregators

#include "aggregators/lora/fed_rot_lora.h"

#include <algorithm>
#include <array>

#include "aggregators/factor_algebra.h"
#include "aggregators/lora/rank_mean.h"

namespace tributary::aggregators {
namespace {

constexpr std::array<OptionSpec, 1> kFedRotLoraOptions = {
    {{.name = "strength",
      .meaning = "how far a site's factors turn towards the version's; 0: fedit",
      .fallback = 0.5,
      .least = 0,
      .most = 1}}};

class FedRotLora final : public LoraAggregator {
 public:
  FedRotLora(const AggregatorSection& section, const Options& options)
      : LoraAggregator(section), strength_(options.Number("strength")) {}

 protected:
  Result<ModuleResult> FoldModule(const LoraRound& round, const Module& module) const override {
    TRIBUTARY_RETURN_IF_ERROR(RequireAllRanks(round, module));
    const bool no_b = std::all_of(module.global.b.begin(), module.global.b.end(),
                                  [](float value) { return value == 0; });
    const AlignBy by = round.number % 2 == 1 || no_b ? AlignBy::kA : AlignBy::kB;
    std::vector<Factors> turned;
    std::vector<FactorView> views;
    for (const FactorView& site : module.sites) {
      turned.push_back(Rotated({module.out, module.in}, site, module.global, by, strength_));
    }
    for (const Factors& factors : turned) views.push_back(factors.View());
    Module aligned = module;
    aligned.sites = views;
    return ModuleResult{
        .next = MeanFactors(round, aligned, {.rate = section().server_learning_rate}),
        .merged = {}};
  }

 private:
  const double strength_;
};

}  // namespace

const Strategy& FedRotLoraStrategy() {
  static const Strategy strategy{
      .kind = "fedrot-lora",
      .family = "lora",
      .summary = "fedit after turning each site's factors into the version's basis",
      .paper = "arXiv:2602.23638",
      .capabilities = {.needs = Needs::kFactors, .lora_only = true},
      .options = kFedRotLoraOptions,
      .make = &MakeLora<FedRotLora>};
  return strategy;
}

}  // namespace tributary::aggregators

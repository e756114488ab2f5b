#include "aggregators/lora/lora_fair.h"

#include <array>

#include "aggregators/factor_algebra.h"
#include "aggregators/lora/rank_mean.h"

namespace tributary::aggregators {
namespace {

constexpr std::array<OptionSpec, 1> kLoraFairOptions = {
    {{.name = "ridge",
      .meaning = "holds the correction of B small; against the squared norms of rows of A",
      .fallback = 0.01,
      .least = 0,
      .most = 1e6}}};

class LoraFair final : public LoraAggregator {
 public:
  LoraFair(const AggregatorSection& section, const Options& options)
      : LoraAggregator(section), ridge_(options.Number("ridge")) {}

 protected:
  Result<ModuleResult> FoldModule(const LoraRound& round, const Module& module) const override {
    TRIBUTARY_RETURN_IF_ERROR(RequireAllRanks(round, module));
    ModuleResult result{.next = MeanFactors(round, module, {}), .merged = {}};
    const std::vector<double> correction = Correction(round, module, result.next);
    for (std::size_t i = 0; i < correction.size(); ++i) {
      result.next.b[i] = static_cast<float>(result.next.b[i] + correction[i]);
    }
    return result;
  }

 private:
  std::vector<double> Correction(const LoraRound& round, const Module& module,
                                 const Factors& mean) const {
    std::vector<Factors> deviations;
    std::vector<FactorView> views;
    for (const FactorView& site : module.sites) {
      deviations.push_back(Deviation({}, site, mean, module));
    }
    for (const Factors& deviation : deviations) views.push_back(deviation.View());
    return RidgeSolution({module.out, module.in}, views, round.weights, mean.rank, mean.a, ridge_);
  }

  const double ridge_;
};

}  // namespace

const Strategy& LoraFairStrategy() {
  static const Strategy strategy{
      .kind = "lora-fair",
      .family = "lora",
      .summary = "fedit with B corrected towards the mean product, by a small ridge solve",
      .paper = "arXiv:2411.14961",
      .capabilities = {.needs = Needs::kFactors, .lossy_compression = false, .lora_only = true},
      .options = kLoraFairOptions,
      .make = &MakeOnProducts<LoraFair>};
  return strategy;
}

}  // namespace tributary::aggregators

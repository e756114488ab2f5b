#include "aggregators/lora/het_lora.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "aggregators/factor_algebra.h"
#include "aggregators/lora/rank_mean.h"

namespace tributary::aggregators {
namespace {

constexpr std::array<OptionSpec, 4> kHetLoraOptions = {
    {{.name = "max_share",
      .meaning = "largest weight of one site; 1: any",
      .fallback = 0.5,
      .least = 0.01,
      .most = 1},
     {.name = "rank_penalty",
      .meaning = "lambda, on the last ranks of a site; 0: sites give no rank up",
      .fallback = 1e-3,
      .most = 1e3},
     {.name = "rank_decay",
      .meaning = "gamma: of r ranks, those from floor(gamma r) on are the last",
      .fallback = 0.99,
      .least = 0.01,
      .most = 0.9999},
     {.name = "least_rank",
      .meaning = "ranks that a site keeps in any case",
      .fallback = 5,
      .least = 1,
      .most = 1e6,
      .whole = true}}};

// Cuts shares above `most` and gives what was cut to the others, in proportion, until none is
// above. Shares sum to 1 and most >= 1/count, so an end exists; each turn caps one more.
void CapShares(double most, std::vector<double>& shares) {
  std::vector<bool> capped(shares.size());
  for (std::size_t turn = 0; turn < shares.size(); ++turn) {
    double fixed = 0, free = 0;
    for (std::size_t k = 0; k < shares.size(); ++k) {
      if (shares[k] > most) capped[k] = true;
      (capped[k] ? fixed : free) += capped[k] ? most : shares[k];
    }
    for (std::size_t k = 0; k < shares.size(); ++k) {
      if (capped[k])
        shares[k] = most;
      else if (free > 0)
        shares[k] *= (1 - fixed) / free;
    }
  }
}

class HetLora final : public LoraAggregator {
 public:
  HetLora(const AggregatorSection& section, const Options& options)
      : LoraAggregator(section),
        max_share_(options.Number("max_share")),
        pruning_{options.Number("rank_penalty"), options.Number("rank_decay"),
                 options.Integer("least_rank")} {}

  TrainDirective Directive(std::int64_t) const override {
    TrainDirective directive;
    directive.pruning = pruning_;
    return directive;
  }

 protected:
  Result<std::vector<double>> Weights(Round& round) const override {
    TRIBUTARY_ASSIGN_OR_RETURN(std::vector<double> shares, Norms(round));
    const double sum = std::accumulate(shares.begin(), shares.end(), 0.0);
    if (!(sum > 0)) return LoraAggregator::Weights(round);
    for (double& share : shares) share /= sum;
    CapShares(std::max(max_share_, 1 / static_cast<double>(shares.size())), shares);
    return shares;
  }

  Result<ModuleResult> FoldModule(const LoraRound& round, const Module& module) const override {
    const MeanRule rule{.missing = Missing::kZero, .rate = section().server_learning_rate};
    return ModuleResult{.next = MeanFactors(round, module, rule), .merged = {}};
  }

 private:
  // Of every site's whole adapter. Modules are summed in manifest order, not as threads finish.
  static Result<std::vector<double>> Norms(Round& round) {
    std::vector<std::vector<double>> squares(round.module_count());
    TRIBUTARY_RETURN_IF_ERROR(round.VisitModules([&](std::size_t index, const Module& module) {
      const ModuleShape shape{module.out, module.in};
      for (const FactorView& site : module.sites) {
        const double norm = module.scale * ProductNorm(shape, site);
        squares[index].push_back(norm * norm);
      }
    }));
    std::vector<double> norms(round.contributions().size());
    for (const auto& of_module : squares) {
      for (std::size_t k = 0; k < of_module.size(); ++k) norms[k] += of_module[k];
    }
    for (double& norm : norms) norm = std::sqrt(norm);
    return norms;
  }

  const double max_share_;
  const RankPruning pruning_;
};

}  // namespace

const Strategy& HetLoraStrategy() {
  static const Strategy strategy{
      .kind = "hetlora",
      .family = "lora",
      .summary = "zero-padded means weighted by the norms of the sites' products; ranks collapse",
      .paper = "arXiv:2401.06432",
      .capabilities = {.needs = Needs::kFactors,
                       .mixed_ranks = true,
                       .lora_only = true,
                       .site_state = true,
                       .uses_weights = false},
      .options = kHetLoraOptions,
      .make = &MakeLora<HetLora>};
  return strategy;
}

}  // namespace tributary::aggregators

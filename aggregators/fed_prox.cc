#include "aggregators/fed_prox.h"

#include "aggregators/linear_step.h"
#include "aggregators/weights.h"

namespace tributary::aggregators {
namespace {

constexpr OptionSpec kFedProxOptions[] = {
    {.name = "mu", .meaning = "pull of the version on the sites", .fallback = 0.01, .most = 1e6},
};

class FedProx final : public Aggregator {
 public:
  FedProx(AggregatorSection section, const Options& options)
      : section_(std::move(section)), mu_(options.Number("mu")) {}

  std::int64_t MinSites() const override { return 1; }

  TrainDirective Directive(std::int64_t) const override {
    TrainDirective directive;
    directive.proximal = mu_;
    return directive;
  }

  Status Fold(Round& round) const override {
    TRIBUTARY_ASSIGN_OR_RETURN(const auto weights,
                               NormalisedWeights(section_, round.contributions()));
    return AddCombination(round, weights, section_.server_learning_rate);
  }

 private:
  const AggregatorSection section_;
  const double mu_;
};

Result<std::unique_ptr<Aggregator>> MakeFedProx(const AggregatorSection& section,
                                                const Options& options) {
  return {std::make_unique<FedProx>(section, options)};
}

}  // namespace

const Strategy& FedProxStrategy() {
  static constexpr Strategy kStrategy{
      .kind = "fedprox",
      .family = "general",
      .summary = "weighted mean; sites are held near the version they got",
      .paper = "arXiv:1812.06127",
      .capabilities = {.secure_sum = true, .site_privacy = true},
      .options = kFedProxOptions,
      .make = MakeFedProx,
  };
  return kStrategy;
}

}  // namespace tributary::aggregators

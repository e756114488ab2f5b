#include "tests/aggregators/example_strategy.h"

#include <array>

#include "aggregators/weights.h"

namespace tributary::aggregators {
namespace {

constexpr std::array<OptionSpec, 1> kOptions = {{{.name = "decay",
                                                  .meaning = "part of the version lost per round",
                                                  .fallback = 0.01,
                                                  .least = 0,
                                                  .most = 1}}};

class DecayedMean final : public Aggregator {
 public:
  DecayedMean(AggregatorSection section, const Options& options)
      : section_(std::move(section)), decay_(options.Number("decay")) {}

  std::int64_t MinSites() const override { return 1; }
  TrainDirective Directive(std::int64_t) const override { return {}; }

  Status Fold(Round& round) const override {
    TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<double> weights,
                               NormalisedWeights(section_, round.contributions()));
    return round.FoldBlocks({}, [&](const Block& block) { FoldBlock(weights, block); });
  }

 private:
  void FoldBlock(const std::vector<double>& weights, const Block& block) const {
    for (std::size_t i = 0; i < block.global.size(); ++i) {
      double step = 0;
      for (std::size_t k = 0; k < weights.size(); ++k) step += weights[k] * block.updates[k][i];
      const double kept = (1 - decay_) * block.global[i];
      block.global[i] = static_cast<float>(kept + section_.server_learning_rate * step);
    }
  }

  const AggregatorSection section_;
  const double decay_;
};

Result<std::unique_ptr<Aggregator>> Make(const AggregatorSection& section, const Options& options) {
  return {std::make_unique<DecayedMean>(section, options)};
}

}  // namespace

const Strategy& DecayedMeanStrategy() {
  static constexpr Strategy kStrategy{
      .kind = "decayed-mean",
      .family = "general",
      .summary = "weighted mean on a version that shrinks every round",
      .paper = "",
      .capabilities = {.secure_sum = true, .site_privacy = true},
      .options = kOptions,
      .make = Make,
      .experimental = true,
  };
  return kStrategy;
}

}  // namespace tributary::aggregators

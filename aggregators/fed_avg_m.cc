#include "aggregators/fed_avg_m.h"

#include "aggregators/server_momentum.h"
#include "aggregators/weights.h"

namespace tributary::aggregators {
namespace {

constexpr OptionSpec kFedAvgMOptions[] = {
    {.name = "momentum",
     .meaning = "what is kept of b each round",
     .fallback = 0.9,
     .most = 0.9999},
    {.name = "dampening", .meaning = "what is left out of the new step", .most = 1},
    {.name = "nesterov", .meaning = "look ahead along b", .words = kNoYes},
};

class FedAvgM final : public Aggregator {
 public:
  FedAvgM(AggregatorSection section, const Options& options)
      : section_(std::move(section)),
        rule_{options.Number("momentum"), options.Number("dampening"),
              options.Word("nesterov") == "yes"} {}

  std::int64_t MinSites() const override { return 1; }
  TrainDirective Directive(std::int64_t) const override { return {}; }

  Status Fold(Round& round) const override {
    TRIBUTARY_ASSIGN_OR_RETURN(const auto weights,
                               NormalisedWeights(section_, round.contributions()));
    return AddWithMomentum(round, weights, rule_, section_.server_learning_rate);
  }

 private:
  const AggregatorSection section_;
  const ServerMomentum rule_;
};

Result<std::unique_ptr<Aggregator>> MakeFedAvgM(const AggregatorSection& section,
                                                const Options& options) {
  return {std::make_unique<FedAvgM>(section, options)};
}

}  // namespace

const Strategy& FedAvgMStrategy() {
  static constexpr Strategy kStrategy{
      .kind = "fedavgm",
      .family = "general",
      .summary = "weighted mean with server momentum",
      .paper = "arXiv:1909.06335",
      .capabilities = {.secure_sum = true, .site_privacy = true},
      .options = kFedAvgMOptions,
      .make = MakeFedAvgM,
  };
  return kStrategy;
}

}  // namespace tributary::aggregators

#include "aggregators/fed_avg.h"

#include "aggregators/linear_step.h"
#include "aggregators/weights.h"

namespace tributary::aggregators {
namespace {

class FedAvg final : public Aggregator {
 public:
  explicit FedAvg(AggregatorSection section) : section_(std::move(section)) {}

  std::int64_t MinSites() const override { return 1; }
  TrainDirective Directive(std::int64_t) const override { return {}; }

  Status Fold(Round& round) const override {
    TRIBUTARY_ASSIGN_OR_RETURN(const auto weights,
                               NormalisedWeights(section_, round.contributions()));
    return AddCombination(round, weights, section_.server_learning_rate);
  }

 private:
  const AggregatorSection section_;
};

Result<std::unique_ptr<Aggregator>> MakeFedAvg(const AggregatorSection& section, const Options&) {
  return {std::make_unique<FedAvg>(section)};
}

}  // namespace

const Strategy& FedAvgStrategy() {
  static constexpr Strategy kStrategy{
      .kind = "fedavg",
      .family = "general",
      .summary = "weighted mean of the updates",
      .paper = "arXiv:1602.05629",
      .capabilities = {.secure_sum = true, .site_privacy = true},
      .options = {},
      .make = MakeFedAvg,
  };
  return kStrategy;
}

}  // namespace tributary::aggregators

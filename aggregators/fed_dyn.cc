#include "aggregators/fed_dyn.h"

#include "aggregators/linear_step.h"
#include "aggregators/weights.h"

namespace tributary::aggregators {
namespace {

constexpr OptionSpec kFedDynOptions[] = {
    {.name = "alpha",
     .meaning = "strength of the regularisation",
     .fallback = 0.01,
     .least = 1e-9,
     .most = 1e6},
};

class FedDyn final : public Aggregator {
 public:
  explicit FedDyn(const Options& options) : alpha_(options.Number("alpha")) {}

  std::int64_t MinSites() const override { return 1; }

  TrainDirective Directive(std::int64_t) const override {
    TrainDirective directive;
    directive.proximal = alpha_;
    directive.offset = GradientOffset::kDualGradient;
    return directive;
  }

  Status Fold(Round& round) const override {
    TRIBUTARY_ASSIGN_OR_RETURN(const double registered, RegisteredSites(round));
    const std::vector<float> mean = ToFloats(EqualWeights(round.contributions().size()));
    const double share = static_cast<double>(mean.size()) / registered;
    const auto take = static_cast<float>(alpha_ * share);
    const auto give = static_cast<float>(1 / alpha_);
    const std::vector<std::string> state = {"h"};
    return round.FoldSum(mean, state, [&](const Block& block, std::span<const float> sum) {
      const std::span<float> h = block.state[0];
      for (std::size_t i = 0; i < sum.size(); ++i) {
        h[i] -= take * sum[i];
        block.global[i] += sum[i] - give * h[i];
      }
    });
  }

 private:
  const double alpha_;
};

Result<std::unique_ptr<Aggregator>> MakeFedDyn(const AggregatorSection& section,
                                               const Options& options) {
  if (section.server_learning_rate != 1) {
    return InvalidArgumentError(
        "server_learning_rate: " + std::to_string(section.server_learning_rate) +
        " is not allowed; FedDyn's step has none: leave it at 1");
  }
  return {std::make_unique<FedDyn>(options)};
}

}  // namespace

const Strategy& FedDynStrategy() {
  static constexpr Strategy kStrategy{
      .kind = "feddyn",
      .family = "general",
      .summary = "dynamic regularisation: sites and server agree on one optimum",
      .paper = "arXiv:2111.04263",
      .capabilities = {.secure_sum = true,
                       .lossy_compression = false,
                       .site_state = true,
                       .uses_weights = false},
      .options = kFedDynOptions,
      .make = MakeFedDyn,
  };
  return kStrategy;
}

}  // namespace tributary::aggregators

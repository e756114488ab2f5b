#include "aggregators/diloco.h"

#include "aggregators/server_momentum.h"
#include "aggregators/weights.h"

namespace tributary::aggregators {
namespace {

constexpr OptionSpec kDilocoOptions[] = {
    {.name = "learning_rate",
     .meaning = "of the outer step",
     .fallback = 0.7,
     .least = 1e-6,
     .most = 100},
    {.name = "momentum",
     .meaning = "Nesterov momentum of the outer step",
     .fallback = 0.9,
     .most = 0.9999},
};

class Diloco final : public Aggregator {
 public:
  Diloco(const AggregatorSection& section, const Options& options)
      : eta_(options.Number("learning_rate") * section.server_learning_rate),
        rule_{options.Number("momentum"), 0, true} {}

  std::int64_t MinSites() const override { return 1; }

  TrainDirective Directive(std::int64_t) const override {
    TrainDirective directive;
    directive.keep_optimizer = true;
    return directive;
  }

  Status Fold(Round& round) const override {
    return AddWithMomentum(round, EqualWeights(round.contributions().size()), rule_, eta_);
  }

 private:
  const double eta_;
  const ServerMomentum rule_;
};

Result<std::unique_ptr<Aggregator>> MakeDiloco(const AggregatorSection& section,
                                               const Options& options) {
  return {std::make_unique<Diloco>(section, options)};
}

}  // namespace

const Strategy& DilocoStrategy() {
  static constexpr Strategy kStrategy{
      .kind = "diloco",
      .family = "general",
      .summary = "long local AdamW runs, Nesterov momentum at the server",
      .paper = "arXiv:2311.08105",
      .capabilities = {.secure_sum = true,
                       .site_privacy = true,
                       .site_state = true,
                       .uses_weights = false},
      .options = kDilocoOptions,
      .make = MakeDiloco,
  };
  return kStrategy;
}

}  // namespace tributary::aggregators

#include "aggregators/fed_buff.h"

#include <numeric>

#include "aggregators/linear_step.h"
#include "aggregators/staleness.h"

namespace tributary::aggregators {
namespace {

constexpr OptionSpec kFedBuffOptions[] = {
    {.name = "buffer", .meaning = "B; 0: as many as are folded", .most = 1e6, .whole = true},
    {.name = "staleness_exponent",
     .meaning = "a of (1 + staleness)^-a",
     .fallback = 0.5,
     .most = 100},
    {.name = "max_staleness",
     .meaning = "older updates do not count; 0: no limit",
     .most = 1e9,
     .whole = true},
    {.name = "normalise", .meaning = "divide by the sum of the factors", .words = kNoYes},
};

class FedBuff final : public Aggregator {
 public:
  FedBuff(const AggregatorSection& section, const Options& options)
      : eta_(section.server_learning_rate),
        buffer_(options.Number("buffer")),
        staleness_{Staleness::Kind::kPolynomial, options.Number("staleness_exponent"), 0,
                   options.Integer("max_staleness")},
        normalise_(options.Word("normalise") == "yes") {}

  std::int64_t MinSites() const override { return 1; }
  TrainDirective Directive(std::int64_t) const override { return {}; }

  Status Fold(Round& round) const override {
    TRIBUTARY_ASSIGN_OR_RETURN(const auto weights,
                               StalenessWeights(staleness_, round.contributions()));
    double divisor = buffer_ > 0 ? buffer_ : static_cast<double>(weights.size());
    const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
    if (normalise_ && sum > 0) divisor = sum;  // else none counts, and nothing changes
    return AddCombination(round, weights, eta_ / divisor);
  }

 private:
  const double eta_;
  const double buffer_;
  const Staleness staleness_;
  const bool normalise_;
};

Result<std::unique_ptr<Aggregator>> MakeFedBuff(const AggregatorSection& section,
                                                const Options& options) {
  return {std::make_unique<FedBuff>(section, options)};
}

}  // namespace

const Strategy& FedBuffStrategy() {
  static constexpr Strategy kStrategy{
      .kind = "fedbuff",
      .family = "general",
      .summary = "buffers of asynchronous updates; older ones count less",
      .paper = "arXiv:2106.06639",
      .capabilities = {.asynchronous = true, .uses_weights = false},
      .options = kFedBuffOptions,
      .make = MakeFedBuff,
  };
  return kStrategy;
}

}  // namespace tributary::aggregators

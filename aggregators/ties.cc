#include "aggregators/ties.h"

#include <cmath>

#include "aggregators/sign_election.h"

namespace tributary::aggregators {
namespace {

constexpr OptionSpec kTiesOptions[] = {
    {.name = "keep",
     .meaning = "fraction of each tensor's values kept",
     .fallback = 0.2,
     .least = 1e-6,
     .most = 1},
    {.name = "scale",
     .meaning = "lambda, of the merged update",
     .fallback = 1,
     .least = 1e-6,
     .most = 100},
};

class Ties final : public Aggregator {
 public:
  Ties(const AggregatorSection& section, const Options& options)
      : factor_(section.server_learning_rate * options.Number("scale")),
        keep_(options.Number("keep")) {}

  std::int64_t MinSites() const override { return 1; }
  TrainDirective Directive(std::int64_t) const override { return {}; }

  Status Fold(Round& round) const override {
    TRIBUTARY_ASSIGN_OR_RETURN(const auto thresholds, round.MagnitudeThresholds(keep_));
    return AddMerged(round, Merge::kSignElection, factor_,
                     [&](const Block& block, std::size_t site, std::size_t,
                         std::span<const float> update, std::span<float> kept) {
                       const float least = thresholds[site][block.tensor_index];
                       for (std::size_t i = 0; i < update.size(); ++i) {
                         kept[i] = std::fabs(update[i]) >= least ? update[i] : 0;
                       }
                     });
  }

 private:
  const double factor_;
  const double keep_;
};

Result<std::unique_ptr<Aggregator>> MakeTies(const AggregatorSection& section,
                                             const Options& options) {
  return {std::make_unique<Ties>(section, options)};
}

}  // namespace

const Strategy& TiesStrategy() {
  static constexpr Strategy kStrategy{
      .kind = "ties",
      .family = "merging",
      .summary = "largest values only, signs by election",
      .paper = "arXiv:2306.01708",
      .capabilities = {.needs = Needs::kCoordinate, .uses_weights = false},
      .options = kTiesOptions,
      .make = MakeTies,
  };
  return kStrategy;
}

}  // namespace tributary::aggregators

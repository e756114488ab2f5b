#include "aggregators/median.h"

#include <algorithm>
#include <numeric>

#include "aggregators/robust_rules.h"
#include "aggregators/weights.h"

namespace tributary::aggregators {
namespace {

constexpr OptionSpec kMedianOptions[] = {
    {.name = "faulty",
     .meaning = "sites that may be wrong or hostile",
     .fallback = 1,
     .most = 1e6,
     .whole = true},
    {.name = "weighted", .meaning = "by aggregator.weights", .words = kNoYes},
};

void MiddleOf(const ColumnSorter::Tile& tile, std::size_t sites, float* out) {
  const float* low = tile.Row((sites - 1) / 2);
  const float* high = tile.Row(sites / 2);
  for (std::size_t i = 0; i < ColumnSorter::kTile; ++i) {
    out[i] = sites % 2 == 1 ? low[i] : 0.5F * low[i] + 0.5F * high[i];
  }
}

class Median final : public Aggregator {
 public:
  Median(AggregatorSection section, const Options& options)
      : section_(std::move(section)),
        faulty_(options.Integer("faulty")),
        weighted_(options.Word("weighted") == "yes") {}

  std::int64_t MinSites() const override { return 2 * faulty_ + 1; }
  TrainDirective Directive(std::int64_t) const override { return {}; }

  Status Fold(Round& round) const override {
    TRIBUTARY_RETURN_IF_ERROR(RequireSites(round, MinSites(), "median"));
    if (weighted_) return FoldWeighted(round);
    const std::size_t sites = round.contributions().size();
    return AddColumnStatistic(
        round, AllSites(round), section_.server_learning_rate,
        [sites](const ColumnSorter::Tile& tile, float* out) { MiddleOf(tile, sites, out); });
  }

 private:
  // Coordinate by coordinate: weights have to follow their values.
  Status FoldWeighted(Round& round) const {
    TRIBUTARY_ASSIGN_OR_RETURN(const auto weights,
                               NormalisedWeights(section_, round.contributions()));
    const auto eta = static_cast<float>(section_.server_learning_rate);
    return round.FoldBlocks({}, [&](const Block& block) {
      std::vector<std::size_t> order(weights.size());
      for (std::size_t i = 0; i < block.global.size(); ++i) {
        std::iota(order.begin(), order.end(), std::size_t{0});
        std::stable_sort(order.begin(), order.end(), [&](std::size_t x, std::size_t y) {
          return block.updates[x][i] < block.updates[y][i];
        });
        double mass = 0;
        std::size_t at = 0;
        // Half, less what the weights' own rounding may be.
        while ((mass += weights[order[at]]) < 0.5 - 1e-12 && at + 1 < order.size()) ++at;
        block.global[i] += eta * block.updates[order[at]][i];
      }
    });
  }

  const AggregatorSection section_;
  const std::int64_t faulty_;
  const bool weighted_;
};

Result<std::unique_ptr<Aggregator>> MakeMedian(const AggregatorSection& section,
                                               const Options& options) {
  return {std::make_unique<Median>(section, options)};
}

}  // namespace

const Strategy& MedianStrategy() {
  static constexpr Strategy kStrategy{
      .kind = "median",
      .family = "robust",
      .summary = "median of every coordinate",
      .paper = "arXiv:1803.01498",
      .capabilities = {.needs = Needs::kCoordinate,
                       .lossy_compression = false,
                       .uses_weights = true,
                       .min_sites = 3},
      .options = kMedianOptions,
      .make = MakeMedian,
  };
  return kStrategy;
}

}  // namespace tributary::aggregators

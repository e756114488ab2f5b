#include "aggregators/bulyan.h"

#include <algorithm>

#include "aggregators/robust_rules.h"

namespace tributary::aggregators {
namespace {

constexpr OptionSpec kBulyanOptions[] = {
    {.name = "faulty",
     .meaning = "sites that may be wrong or hostile",
     .fallback = 1,
     .most = 1e6,
     .whole = true},
};

// Positions of the picked updates, ascending.
std::vector<std::size_t> Pick(const Geometry& geometry, std::size_t faulty) {
  std::vector<std::size_t> left(geometry.count);
  for (std::size_t i = 0; i < left.size(); ++i) left[i] = i;
  std::vector<std::size_t> picked;
  while (picked.size() + 2 * faulty < geometry.count) {
    const std::size_t neighbours = left.size() > faulty + 3 ? left.size() - faulty - 2 : 1;
    const auto scores = KrumScores(geometry, left, neighbours);
    const std::size_t winner = Lowest(scores, 1)[0];
    picked.push_back(left[winner]);
    left.erase(left.begin() + static_cast<std::ptrdiff_t>(winner));
  }
  std::sort(picked.begin(), picked.end());
  return picked;
}

// Mean of the `keep` values of a sorted column that are nearest to its median: they are neighbours.
float NearestMean(const ColumnSorter::Tile& tile, std::size_t rows, std::size_t keep,
                  std::size_t column) {
  const auto value = [&](std::size_t r) { return tile.Row(r)[column]; };
  const float median = 0.5F * value((rows - 1) / 2) + 0.5F * value(rows / 2);
  std::size_t first = 0;
  while (first + keep < rows && median - value(first) > value(first + keep) - median) ++first;
  float sum = 0;
  for (std::size_t r = first; r < first + keep; ++r) sum += value(r);
  return sum / static_cast<float>(keep);
}

class Bulyan final : public Aggregator {
 public:
  Bulyan(const AggregatorSection& section, const Options& options)
      : eta_(section.server_learning_rate), faulty_(options.Integer("faulty")) {}

  std::int64_t MinSites() const override { return 4 * faulty_ + 3; }
  TrainDirective Directive(std::int64_t) const override { return {}; }

  Status Fold(Round& round) const override {
    TRIBUTARY_RETURN_IF_ERROR(RequireSites(round, MinSites(), "bulyan"));
    TRIBUTARY_ASSIGN_OR_RETURN(const Geometry geometry, round.Measure({}));
    const auto faulty = static_cast<std::size_t>(faulty_);
    const std::vector<std::size_t> picked = Pick(geometry, faulty);
    const std::size_t rows = picked.size();
    const std::size_t keep = rows - 2 * faulty;
    return AddColumnStatistic(round, picked, eta_, [=](const ColumnSorter::Tile& tile, float* out) {
      for (std::size_t i = 0; i < ColumnSorter::kTile; ++i) {
        out[i] = NearestMean(tile, rows, keep, i);
      }
    });
  }

 private:
  const double eta_;
  const std::int64_t faulty_;
};

Result<std::unique_ptr<Aggregator>> MakeBulyan(const AggregatorSection& section,
                                               const Options& options) {
  return {std::make_unique<Bulyan>(section, options)};
}

}  // namespace

const Strategy& BulyanStrategy() {
  static constexpr Strategy kStrategy{
      .kind = "bulyan",
      .family = "robust",
      .summary = "Krum picks, then a trimmed mean around the median",
      .paper = "arXiv:1802.07927",
      .capabilities = {.needs = Needs::kGeometry,
                       .lossy_compression = false,
                       .uses_weights = false,
                       .min_sites = 7},
      .options = kBulyanOptions,
      .make = MakeBulyan,
  };
  return kStrategy;
}

}  // namespace tributary::aggregators

#include "aggregators/trimmed_mean.h"

#include <cmath>
#include <string>

#include "aggregators/robust_rules.h"

namespace tributary::aggregators {
namespace {

constexpr OptionSpec kTrimmedMeanOptions[] = {
    {.name = "trim",
     .meaning = "fraction of the sites dropped at each end",
     .fallback = 0.2,
     .most = 0.499999},
    {.name = "faulty",
     .meaning = "sites that may be wrong or hostile",
     .fallback = 1,
     .most = 1e6,
     .whole = true},
};

class TrimmedMean final : public Aggregator {
 public:
  TrimmedMean(const AggregatorSection& section, const Options& options)
      : eta_(section.server_learning_rate),
        trim_(options.Number("trim")),
        faulty_(options.Integer("faulty")) {}

  // The least number of which a fraction `trim` is `faulty` sites.
  std::int64_t MinSites() const override {
    if (faulty_ == 0) return 1;
    auto sites = static_cast<std::int64_t>(static_cast<double>(faulty_) / trim_ * (1 - 1e-9));
    while (Dropped(sites) < faulty_) ++sites;
    return sites;
  }
  TrainDirective Directive(std::int64_t) const override { return {}; }

  Status Fold(Round& round) const override {
    TRIBUTARY_RETURN_IF_ERROR(RequireSites(round, MinSites(), "trimmed-mean"));
    const auto sites = static_cast<std::int64_t>(round.contributions().size());
    const auto first = static_cast<std::size_t>(Dropped(sites));
    const auto last = static_cast<std::size_t>(sites) - first;
    const float share = 1.0F / static_cast<float>(last - first);
    return AddColumnStatistic(round, AllSites(round), eta_,
                              [=](const ColumnSorter::Tile& tile, float* out) {
                                for (std::size_t i = 0; i < ColumnSorter::kTile; ++i) out[i] = 0;
                                for (std::size_t r = first; r < last; ++r) {
                                  const float* row = tile.Row(r);
                                  for (std::size_t i = 0; i < ColumnSorter::kTile; ++i) {
                                    out[i] += share * row[i];
                                  }
                                }
                              });
  }

 private:
  // b. 0.29 * 100 is a little less than 29 in binary; 29 are meant.
  std::int64_t Dropped(std::int64_t sites) const {
    return static_cast<std::int64_t>(trim_ * static_cast<double>(sites) + 1e-9);
  }

  const double eta_;
  const double trim_;
  const std::int64_t faulty_;
};

Result<std::unique_ptr<Aggregator>> MakeTrimmedMean(const AggregatorSection& section,
                                                    const Options& options) {
  const double trim = options.Number("trim");
  const double faulty = options.Number("faulty");
  if (faulty > 0 && trim * 1e7 < faulty) {
    return InvalidArgumentError("options.trim: " + std::to_string(trim) +
                                " drops no site; raise it, or set faulty to 0");
  }
  return {std::make_unique<TrimmedMean>(section, options)};
}

}  // namespace

const Strategy& TrimmedMeanStrategy() {
  static constexpr Strategy kStrategy{
      .kind = "trimmed-mean",
      .family = "robust",
      .summary = "mean of every coordinate without its extremes",
      .paper = "arXiv:1803.01498",
      .capabilities = {.needs = Needs::kCoordinate,
                       .lossy_compression = false,
                       .uses_weights = false,
                       .min_sites = 5},
      .options = kTrimmedMeanOptions,
      .make = MakeTrimmedMean,
  };
  return kStrategy;
}

}  // namespace tributary::aggregators

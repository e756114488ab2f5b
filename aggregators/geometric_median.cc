#include "aggregators/geometric_median.h"

#include <algorithm>
#include <numeric>

#include "aggregators/linear_step.h"
#include "aggregators/robust_rules.h"
#include "aggregators/weights.h"

namespace tributary::aggregators {
namespace {

constexpr OptionSpec kGeometricMedianOptions[] = {
    {.name = "faulty",
     .meaning = "sites that may be wrong or hostile",
     .fallback = 1,
     .most = 1e6,
     .whole = true},
    {.name = "iterations",
     .meaning = "of Weiszfeld",
     .fallback = 3,
     .least = 1,
     .most = 1e5,
     .whole = true},
    {.name = "nu",
     .meaning = "least distance that counts",
     .fallback = 1e-6,
     .least = 1e-15,
     .most = 1e6},
};

class GeometricMedian final : public Aggregator {
 public:
  GeometricMedian(AggregatorSection section, const Options& options)
      : section_(std::move(section)),
        faulty_(options.Integer("faulty")),
        iterations_(options.Integer("iterations")),
        nu_(options.Number("nu")) {}

  std::int64_t MinSites() const override { return 2 * faulty_ + 1; }
  TrainDirective Directive(std::int64_t) const override { return {}; }

  Status Fold(Round& round) const override {
    TRIBUTARY_RETURN_IF_ERROR(RequireSites(round, MinSites(), "geometric-median"));
    TRIBUTARY_ASSIGN_OR_RETURN(const auto weights,
                               NormalisedWeights(section_, round.contributions()));
    TRIBUTARY_ASSIGN_OR_RETURN(const Geometry geometry, round.Measure({}));
    std::vector<double> z = weights;
    for (std::int64_t i = 0; i < iterations_; ++i) z = Next(geometry, weights, z);
    return AddCombination(round, z, section_.server_learning_rate);
  }

 private:
  std::vector<double> Next(const Geometry& geometry, std::span<const double> weights,
                           std::span<const double> z) const {
    std::vector<double> beta;
    for (std::size_t k = 0; k < weights.size(); ++k) {
      beta.push_back(weights[k] / std::max(nu_, DistanceTo(geometry, z, k)));
    }
    const double total = std::accumulate(beta.begin(), beta.end(), 0.0);
    for (double& b : beta) b /= total;
    return beta;
  }

  const AggregatorSection section_;
  const std::int64_t faulty_;
  const std::int64_t iterations_;
  const double nu_;
};

Result<std::unique_ptr<Aggregator>> MakeGeometricMedian(const AggregatorSection& section,
                                                        const Options& options) {
  return {std::make_unique<GeometricMedian>(section, options)};
}

}  // namespace

const Strategy& GeometricMedianStrategy() {
  static constexpr Strategy kStrategy{
      .kind = "geometric-median",
      .family = "robust",
      .summary = "the point with the least sum of distances to the updates",
      .paper = "arXiv:1912.13445",
      .capabilities = {.needs = Needs::kGeometry,
                       .lossy_compression = false,
                       .uses_weights = true,
                       .min_sites = 3},
      .options = kGeometricMedianOptions,
      .make = MakeGeometricMedian,
  };
  return kStrategy;
}

}  // namespace tributary::aggregators

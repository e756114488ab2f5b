#include "aggregators/norm_clip.h"

#include <algorithm>
#include <cmath>

#include "aggregators/linear_step.h"
#include "aggregators/weights.h"

namespace tributary::aggregators {
namespace {

constexpr OptionSpec kNormClipOptions[] = {
    {.name = "clip",
     .meaning = "C, most norm of an update; 0: the median of the norms",
     .most = 1e12},
};

double MedianOf(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return 0.5 * (values[(values.size() - 1) / 2] + values[values.size() / 2]);
}

class NormClip final : public Aggregator {
 public:
  NormClip(AggregatorSection section, const Options& options)
      : section_(std::move(section)), clip_(options.Number("clip")) {}

  std::int64_t MinSites() const override { return 1; }
  TrainDirective Directive(std::int64_t) const override { return {}; }

  Status Fold(Round& round) const override {
    TRIBUTARY_ASSIGN_OR_RETURN(auto coefficients,
                               NormalisedWeights(section_, round.contributions()));
    TRIBUTARY_ASSIGN_OR_RETURN(const Geometry geometry, round.Measure({}));
    std::vector<double> norms;
    for (std::size_t k = 0; k < geometry.count; ++k) {
      norms.push_back(std::sqrt(geometry.Dot(k, k)));
    }
    const double clip = clip_ > 0 ? clip_ : MedianOf(norms);
    for (std::size_t k = 0; k < norms.size(); ++k) {
      if (norms[k] > clip) coefficients[k] *= clip / norms[k];
    }
    return AddCombination(round, coefficients, section_.server_learning_rate);
  }

 private:
  const AggregatorSection section_;
  const double clip_;
};

Result<std::unique_ptr<Aggregator>> MakeNormClip(const AggregatorSection& section,
                                                 const Options& options) {
  return {std::make_unique<NormClip>(section, options)};
}

}  // namespace

const Strategy& NormClipStrategy() {
  static constexpr Strategy kStrategy{
      .kind = "norm-clip",
      .family = "robust",
      .summary = "weighted mean of updates of bounded norm",
      .paper = "arXiv:1911.07963",
      .capabilities = {.needs = Needs::kGeometry, .lossy_compression = false},
      .options = kNormClipOptions,
      .make = MakeNormClip,
  };
  return kStrategy;
}

}  // namespace tributary::aggregators

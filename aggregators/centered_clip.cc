#include "aggregators/centered_clip.h"

#include "aggregators/linear_step.h"
#include "aggregators/robust_rules.h"

namespace tributary::aggregators {
namespace {

constexpr OptionSpec kCenteredClipOptions[] = {
    {.name = "radius",
     .meaning = "tau, of the ball around the last aggregate",
     .fallback = 10,
     .most = 1e30},
    {.name = "iterations", .meaning = "L", .fallback = 1, .least = 1, .most = 1000, .whole = true},
};

class CenteredClip final : public Aggregator {
 public:
  CenteredClip(const AggregatorSection& section, const Options& options)
      : eta_(section.server_learning_rate),
        radius_(options.Number("radius")),
        iterations_(options.Integer("iterations")) {}

  std::int64_t MinSites() const override { return 1; }
  TrainDirective Directive(std::int64_t) const override { return {}; }

  Status Fold(Round& round) const override {
    const std::vector<std::string> state = {"center"};
    TRIBUTARY_ASSIGN_OR_RETURN(const Geometry geometry, round.Measure(state));
    const std::size_t sites = geometry.count - 1;
    std::vector<double> v(sites + 1);  // coefficients of the updates, then of the old v
    v[sites] = 1;
    for (std::int64_t i = 0; i < iterations_; ++i) v = Next(geometry, v);
    const std::vector<float> c = ToFloats(std::span(v).first(sites));
    const auto keep = static_cast<float>(v[sites]);
    const auto eta = static_cast<float>(eta_);
    return round.FoldSum(c, state, [&](const Block& block, std::span<const float> sum) {
      const std::span<float> center = block.state[0];
      for (std::size_t i = 0; i < sum.size(); ++i) {
        center[i] = keep * center[i] + sum[i];
        block.global[i] += eta * center[i];
      }
    });
  }

 private:
  // v + mean_k s_k (D_k - v)
  std::vector<double> Next(const Geometry& geometry, const std::vector<double>& v) const {
    const std::size_t sites = v.size() - 1;
    std::vector<double> scales;
    double total = 0;
    for (std::size_t k = 0; k < sites; ++k) {
      const double distance = DistanceTo(geometry, v, k);
      scales.push_back((distance > radius_ ? radius_ / distance : 1) / static_cast<double>(sites));
      total += scales.back();
    }
    // With no clipping at all nothing of the old v is left, not a rounding error either.
    if (total > 1 - 1e-12) total = 1;
    std::vector<double> next(v);
    for (double& coefficient : next) coefficient *= 1 - total;
    for (std::size_t k = 0; k < sites; ++k) next[k] += scales[k];
    return next;
  }

  const double eta_;
  const double radius_;
  const std::int64_t iterations_;
};

Result<std::unique_ptr<Aggregator>> MakeCenteredClip(const AggregatorSection& section,
                                                     const Options& options) {
  return {std::make_unique<CenteredClip>(section, options)};
}

}  // namespace

const Strategy& CenteredClipStrategy() {
  static constexpr Strategy kStrategy{
      .kind = "centered-clip",
      .family = "robust",
      .summary = "mean of updates clipped around the last aggregate",
      .paper = "arXiv:2012.10333",
      .capabilities = {.needs = Needs::kGeometry,
                       .lossy_compression = false,
                       .uses_weights = false,
                       .min_sites = 1},
      .options = kCenteredClipOptions,
      .make = MakeCenteredClip,
  };
  return kStrategy;
}

}  // namespace tributary::aggregators

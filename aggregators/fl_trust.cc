#include "aggregators/fl_trust.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "aggregators/linear_step.h"

namespace tributary::aggregators {
namespace {

constexpr OptionSpec kFlTrustOptions[] = {
    {.name = "root_site", .meaning = "the trusted site; required", .text = true},
};

class FlTrust final : public Aggregator {
 public:
  FlTrust(const AggregatorSection& section, const Options& options)
      : eta_(section.server_learning_rate), root_site_(options.Word("root_site")) {}

  std::int64_t MinSites() const override { return 2; }
  TrainDirective Directive(std::int64_t) const override { return {}; }

  Status Fold(Round& round) const override {
    const auto contributions = round.contributions();
    const auto found = std::find_if(contributions.begin(), contributions.end(),
                                    [&](const Contribution& c) { return c.site == root_site_; });
    if (found == contributions.end()) {
      return InvalidArgumentError("no update of the trusted site " + root_site_ +
                                  "; fltrust needs one in every round");
    }
    TRIBUTARY_ASSIGN_OR_RETURN(const Geometry geometry, round.Measure({}));
    const auto root = static_cast<std::size_t>(found - contributions.begin());
    return AddCombination(round, Coefficients(geometry, root), eta_);
  }

 private:
  static std::vector<double> Coefficients(const Geometry& geometry, std::size_t root) {
    std::vector<double> coefficients(geometry.count);
    const double root_norm = std::sqrt(geometry.Dot(root, root));
    double trust = 0;
    for (std::size_t k = 0; k < geometry.count; ++k) {
      const double norm = std::sqrt(geometry.Dot(k, k));
      if (k == root || norm == 0 || root_norm == 0) continue;
      const double score = std::max(0.0, geometry.Dot(k, root) / (norm * root_norm));
      coefficients[k] = score * root_norm / norm;
      trust += score;
    }
    if (trust > 0) {
      for (double& coefficient : coefficients) coefficient /= trust;
    }
    return coefficients;
  }

  const double eta_;
  const std::string root_site_;
};

Result<std::unique_ptr<Aggregator>> MakeFlTrust(const AggregatorSection& section,
                                                const Options& options) {
  if (options.Word("root_site").empty()) {
    return InvalidArgumentError("options.root_site is required: the trusted site's name");
  }
  return {std::make_unique<FlTrust>(section, options)};
}

}  // namespace

const Strategy& FlTrustStrategy() {
  static constexpr Strategy kStrategy{
      .kind = "fltrust",
      .family = "robust",
      .summary = "updates count by their agreement with a trusted site's",
      .paper = "arXiv:2012.13995",
      .capabilities = {.needs = Needs::kGeometry,
                       .lossy_compression = false,
                       .uses_weights = false,
                       .min_sites = 2},
      .options = kFlTrustOptions,
      .make = MakeFlTrust,
  };
  return kStrategy;
}

}  // namespace tributary::aggregators

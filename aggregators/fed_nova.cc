#include "aggregators/fed_nova.h"

#include <algorithm>
#include <cmath>

#include "aggregators/server_momentum.h"
#include "aggregators/weights.h"

namespace tributary::aggregators {
namespace {

constexpr std::string_view kSteps[] = {"count", "learning-rate"};
constexpr OptionSpec kFedNovaOptions[] = {
    {.name = "steps", .meaning = "what local work is measured by", .words = kSteps},
    {.name = "momentum", .meaning = "heavy-ball momentum of the sites' SGD", .most = 0.9999},
    {.name = "mu", .meaning = "proximal term at the sites, as FedProx has it", .most = 1e6},
    {.name = "ratio_cap", .meaning = "most that tau / a_k may be; 0: no limit", .most = 1e9},
    {.name = "server_momentum", .meaning = "momentum of the server's step", .most = 0.9999},
};

class FedNova final : public Aggregator {
 public:
  FedNova(AggregatorSection section, const Options& options)
      : section_(std::move(section)),
        by_learning_rate_(options.Word("steps") == "learning-rate"),
        momentum_(options.Number("momentum")),
        mu_(options.Number("mu")),
        ratio_cap_(options.Number("ratio_cap")),
        server_{options.Number("server_momentum"), 0, false} {}

  std::int64_t MinSites() const override { return 1; }

  TrainDirective Directive(std::int64_t) const override {
    TrainDirective directive;
    directive.proximal = mu_;
    return directive;
  }

  Status Fold(Round& round) const override {
    TRIBUTARY_ASSIGN_OR_RETURN(auto coefficients,
                               NormalisedWeights(section_, round.contributions()));
    TRIBUTARY_RETURN_IF_ERROR(Normalise(round.contributions(), &coefficients));
    return AddWithMomentum(round, coefficients, server_, section_.server_learning_rate);
  }

 private:
  // a_k.
  Result<double> EffectiveSteps(const Contribution& c) const {
    const auto steps = static_cast<double>(c.steps);
    if (c.steps <= 0) return 0.0;
    if (by_learning_rate_) return c.learning_rate_sum;
    if (momentum_ > 0) {
      const double left = 1 - momentum_;
      return (steps - momentum_ * (1 - std::pow(momentum_, steps)) / left) / left;
    }
    if (mu_ == 0) return steps;
    const double shrink = mu_ * c.learning_rate_sum / steps;
    if (!(shrink > 0 && shrink < 1)) {
      return InvalidArgumentError("site " + c.site + ": mu times its mean learning rate is " +
                                  std::to_string(shrink) + "; must be above 0 and below 1");
    }
    return -std::expm1(steps * std::log1p(-shrink)) / shrink;
  }

  // p_k -> tau p_k / a_k.
  Status Normalise(std::span<const Contribution> contributions, std::vector<double>* p) const {
    std::vector<double> a;
    double total = 0;
    double tau = 0;
    for (std::size_t k = 0; k < p->size(); ++k) {
      TRIBUTARY_ASSIGN_OR_RETURN(const double steps, EffectiveSteps(contributions[k]));
      if (!(steps >= 0) || !std::isfinite(steps)) {
        return InvalidArgumentError("site " + contributions[k].site +
                                    " reports a sum of learning rates of " + std::to_string(steps) +
                                    "; must be at least 0");
      }
      a.push_back(steps);
      if (steps == 0) continue;
      total += (*p)[k];
      tau += (*p)[k] * (mu_ > 0 ? static_cast<double>(contributions[k].steps) : steps);
    }
    if (!(total > 0)) return InvalidArgumentError("no site with a weight made a step");
    tau /= total;
    for (std::size_t k = 0; k < p->size(); ++k) {
      double ratio = a[k] > 0 ? tau / a[k] : 0;
      if (ratio_cap_ > 0) ratio = std::min(ratio, ratio_cap_);
      (*p)[k] *= ratio / total;
    }
    return OkStatus();
  }

  const AggregatorSection section_;
  const bool by_learning_rate_;
  const double momentum_;
  const double mu_;
  const double ratio_cap_;
  const ServerMomentum server_;
};

Result<std::unique_ptr<Aggregator>> MakeFedNova(const AggregatorSection& section,
                                                const Options& options) {
  const int rules = (options.Number("momentum") > 0 ? 1 : 0) + (options.Number("mu") > 0 ? 1 : 0) +
                    (options.Word("steps") == "learning-rate" ? 1 : 0);
  if (rules > 1) {
    return InvalidArgumentError(
        "options: momentum, mu and steps: learning-rate each define a_k; give one of them");
  }
  return {std::make_unique<FedNova>(section, options)};
}

}  // namespace

const Strategy& FedNovaStrategy() {
  static constexpr Strategy kStrategy{
      .kind = "fednova",
      .family = "general",
      .summary = "mean of updates per local step; for sites that do unequal work",
      .paper = "arXiv:2007.07481",
      .capabilities = {.secure_sum = true, .site_privacy = true},
      .options = kFedNovaOptions,
      .make = MakeFedNova,
  };
  return kStrategy;
}

}  // namespace tributary::aggregators

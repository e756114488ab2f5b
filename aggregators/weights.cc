#include "aggregators/weights.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace tributary::aggregators {
namespace {

Result<double> Basis(const AggregatorSection& section, const Contribution& c) {
  if (section.weights == "equal") return 1.0;
  if (section.weights == "samples") return static_cast<double>(c.samples);
  if (section.weights == "tokens") return static_cast<double>(c.tokens);
  if (section.weights == "steps") return static_cast<double>(c.steps);
  if (section.weights == "custom") {
    const auto it = section.custom_weights.find(c.site);
    if (it != section.custom_weights.end()) return it->second;
    return InvalidArgumentError("aggregator.custom_weights does not name site " + c.site);
  }
  return InvalidArgumentError("aggregator.weights: \"" + section.weights +
                              "\" is not allowed; must be one of equal samples tokens steps "
                              "custom");
}

std::string What(const AggregatorSection& section) {
  return section.weights == "custom" ? "custom weight" : "number of " + section.weights;
}

}  // namespace

Result<std::vector<double>> NormalisedWeights(const AggregatorSection& section,
                                              std::span<const Contribution> contributions) {
  std::vector<double> weights;
  double total = 0;
  for (const Contribution& c : contributions) {
    TRIBUTARY_ASSIGN_OR_RETURN(double weight, Basis(section, c));
    if (!(weight >= 0) || !std::isfinite(weight)) {
      return InvalidArgumentError("site " + c.site + " has a negative " + What(section) + ": " +
                                  std::to_string(weight) + "; must be at least 0");
    }
    if (section.weight_cap > 0) weight = std::min(weight, section.weight_cap);
    weights.push_back(weight);
    total += weight;
  }
  if (!(total > 0)) {
    std::string sites;
    for (const Contribution& c : contributions) sites += " " + c.site;
    return InvalidArgumentError("all updates have weight 0: no site has a " + What(section) +
                                " above 0; sites:" + (sites.empty() ? " none" : sites));
  }
  for (double& weight : weights) weight /= total;
  return weights;
}

std::vector<double> EqualWeights(std::size_t count) {
  return std::vector<double>(count, count == 0 ? 0.0 : 1.0 / static_cast<double>(count));
}

}  // namespace tributary::aggregators

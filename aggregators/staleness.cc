#include "aggregators/staleness.h"

#include <cmath>
#include <string>

namespace tributary::aggregators {

double Staleness::Weight(std::int64_t tau) const {
  if (most > 0 && tau > most) return 0;
  const auto age = static_cast<double>(tau);
  if (kind == Kind::kPolynomial) return std::pow(1 + age, -a);
  if (kind == Kind::kHinge && age > b) return 1 / (a * (age - b) + 1);
  return 1;
}

Result<std::vector<double>> StalenessWeights(const Staleness& rule,
                                             std::span<const Contribution> contributions) {
  std::vector<double> weights;
  bool any = false;
  for (const Contribution& c : contributions) {
    if (c.staleness < 0) {
      return InvalidArgumentError("site " + c.site + " has a staleness of " +
                                  std::to_string(c.staleness) + "; must be at least 0");
    }
    weights.push_back(rule.Weight(c.staleness));
    any = any || weights.back() > 0;
  }
  if (any) return weights;
  return InvalidArgumentError("every update is older than max_staleness (" +
                              std::to_string(rule.most) + " versions)");
}

}  // namespace tributary::aggregators

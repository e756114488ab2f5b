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
  for (const Contribution& c : contributions) {
    if (c.staleness < 0) {
      return InvalidArgumentError("site " + c.site + " has a staleness of " +
                                  std::to_string(c.staleness) + "; must be at least 0");
    }
    weights.push_back(rule.Weight(c.staleness));
  }
  return weights;
}

}  // namespace tributary::aggregators

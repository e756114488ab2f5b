#include "aggregators/linear_step.h"

#include <string>

namespace tributary::aggregators {

std::vector<float> ToFloats(std::span<const double> coefficients, double factor) {
  std::vector<float> floats;
  floats.reserve(coefficients.size());
  for (const double c : coefficients) floats.push_back(static_cast<float>(factor * c));
  return floats;
}

Status AddCombination(Round& round, std::span<const double> coefficients, double factor) {
  const std::vector<float> step = ToFloats(coefficients, factor);
  return round.FoldSum(step, {}, [](const Block& block, std::span<const float> sum) {
    for (std::size_t i = 0; i < sum.size(); ++i) block.global[i] += sum[i];
  });
}

Result<double> RegisteredSites(const Round& round) {
  const auto contributing = static_cast<std::int64_t>(round.contributions().size());
  if (round.registered_sites() < contributing) {
    return InvalidArgumentError(std::to_string(contributing) + " sites contribute but " +
                                std::to_string(round.registered_sites()) +
                                " are registered; must be at least as many");
  }
  return static_cast<double>(round.registered_sites());
}

}  // namespace tributary::aggregators

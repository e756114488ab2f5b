#include "aggregators/server_momentum.h"

#include <string>
#include <vector>

#include "aggregators/linear_step.h"

namespace tributary::aggregators {

Status AddWithMomentum(Round& round, std::span<const double> coefficients,
                       const ServerMomentum& rule, double eta) {
  if (rule.momentum == 0) return AddCombination(round, coefficients, eta);
  const std::vector<float> c = ToFloats(coefficients);
  const bool first = round.numbers()["momentum.rounds"]++ == 0;
  const auto keep = static_cast<float>(rule.momentum);
  const auto take = first ? 1.0F : static_cast<float>(1 - rule.dampening);
  const auto step = static_cast<float>(eta);
  const std::vector<std::string> state = {"momentum"};
  return round.FoldSum(c, state, [&](const Block& block, std::span<const float> sum) {
    const std::span<float> b = block.state[0];
    for (std::size_t i = 0; i < sum.size(); ++i) {
      b[i] = keep * b[i] + take * sum[i];
      block.global[i] += step * (rule.nesterov ? sum[i] + keep * b[i] : b[i]);
    }
  });
}

}  // namespace tributary::aggregators

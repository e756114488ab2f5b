// How much an update counts that was trained against an older version (algorithms.md A.8, A.9).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "aggregators/round.h"
#include "core/status.h"

namespace tributary::aggregators {

struct Staleness {
  enum class Kind : std::uint8_t { kConstant, kPolynomial, kHinge };
  Kind kind = Kind::kPolynomial;
  double a = 0.5;         // polynomial: (1 + tau)^-a; hinge: 1 / (a (tau - b) + 1) above b
  double b = 0;           // hinge: 1 up to here
  std::int64_t most = 0;  // older updates do not count; 0: no limit

  double Weight(std::int64_t tau) const;
};

// Of every contribution; zeros where none is new enough. Invalid argument for a negative staleness.
Result<std::vector<double>> StalenessWeights(const Staleness& rule,
                                             std::span<const Contribution> contributions);

}  // namespace tributary::aggregators

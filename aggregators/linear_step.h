// The step that most strategies end with.
#pragma once

#include <span>
#include <vector>

#include "aggregators/round.h"
#include "core/status.h"

namespace tributary::aggregators {

// factor * c_k, rounded once to fp32.
std::vector<float> ToFloats(std::span<const double> coefficients, double factor = 1);

// x <- x + factor * sum_k c_k D_k, one coefficient for each contribution. Makes the next version;
// no state.
Status AddCombination(Round& round, std::span<const double> coefficients, double factor = 1);

// N, for rules that divide by it. Invalid argument when fewer sites are registered than contribute.
Result<double> RegisteredSites(const Round& round);

}  // namespace tributary::aggregators

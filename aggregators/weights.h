// What each update counts for: p_k = n_k / sum n, the weights of algorithms.md 0.1.
#pragma once

#include <span>
#include <vector>

#include "aggregators/round.h"
#include "core/campaign_file.h"
#include "core/status.h"

namespace tributary::aggregators {

// In the order of `contributions`; none negative, their sum 1. n_k follows `section.weights`, and
// counts for at most `section.weight_cap` when that is not 0. Invalid argument names the site whose
// number is negative or missing, or says that all are 0.
Result<std::vector<double>> NormalisedWeights(const AggregatorSection& section,
                                              std::span<const Contribution> contributions);

// 1/K each; for rules that are defined on equal sites.
std::vector<double> EqualWeights(std::size_t count);

}  // namespace tributary::aggregators

// Uniform soup (arXiv:2203.05482; algorithms.md A.14): x <- x + eta * mean_k D_k, FedAvg with equal
// weights whatever aggregator.weights says.
#pragma once

#include "aggregators/aggregator.h"

namespace tributary::aggregators {

const Strategy& SoupStrategy();

}  // namespace tributary::aggregators

// FedAvg (arXiv:1602.05629; algorithms.md A.1): the weighted mean of the updates,
//
//   x <- x + eta * sum_k p_k D_k
//
// with eta = aggregator.server_learning_rate and p_k of aggregator.weights. A site that made no
// steps counts with its weight and a zero update.
#pragma once

#include "aggregators/aggregator.h"

namespace tributary::aggregators {

const Strategy& FedAvgStrategy();

}  // namespace tributary::aggregators

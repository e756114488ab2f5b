// FedAvgM (arXiv:1909.06335; algorithms.md A.2): server momentum. With D = sum_k p_k D_k:
//
//   b <- momentum b + (1 - dampening) D   (b = D in the first round)
//   x <- x + eta b                        (nesterov: x + eta (D + momentum b))
//
// with eta = aggregator.server_learning_rate. PyTorch's convention, which is Flower's; dampening =
// momentum gives OpenFedLLM's: the same direction, 1 / (1 - momentum) times smaller in the long
// run. State: b.
#pragma once

#include "aggregators/aggregator.h"

namespace tributary::aggregators {

const Strategy& FedAvgMStrategy();

}  // namespace tributary::aggregators

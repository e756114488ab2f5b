// FedBuff (arXiv:2106.06639; algorithms.md A.9): asynchronous updates in buffers of B,
//
//   x <- x + eta * (1/B) sum_k s(tau_k) D_k,   s(tau) = (1 + tau)^-a
//
// D_k against the version that site k was given. B is the number of updates that are folded, or
// `buffer`: then a part of a buffer makes a smaller step. The step is absolute: stale buffers step
// less; `normalise: yes` divides by the sum of s instead (not in the paper).
#pragma once

#include "aggregators/aggregator.h"

namespace tributary::aggregators {

const Strategy& FedBuffStrategy();

}  // namespace tributary::aggregators

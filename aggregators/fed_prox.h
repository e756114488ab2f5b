// FedProx (arXiv:1812.06127; algorithms.md A.3): sites minimise f_k(y) + mu/2 |y - x|^2, so that mu
// (y
// - x) is added to the gradient of every trained tensor; the server takes FedAvg's step. With an
// adaptive optimizer the term is in the gradient, hence rescaled with it. Under LoRA it acts on the
// factors, not on their product. mu = 0 is FedAvg, bit for bit.
#pragma once

#include "aggregators/aggregator.h"

namespace tributary::aggregators {

const Strategy& FedProxStrategy();

}  // namespace tributary::aggregators

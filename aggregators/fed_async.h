// FedAsync (arXiv:1903.03934; algorithms.md A.8): every update moves the version as it arrives,
//
//   x <- x + eta * alpha * s(tau_k) D_k
//
// tau_k the versions published since the one that site k started from; s constant 1, polynomial
// (1 + tau)^-a, or hinge: 1 up to b, then 1 / (a (tau - b) + 1). The delta form: mixing x with the
// site's whole model would pull it back to an old version. Several updates folded at once add up.
// The step is absolute: it does not shrink with weights. `scale: sites` divides by the number of
// registered sites, as APPFL does.
#pragma once

#include "aggregators/aggregator.h"

namespace tributary::aggregators {

const Strategy& FedAsyncStrategy();

}  // namespace tributary::aggregators

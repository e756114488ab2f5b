// FedDyn (arXiv:2111.04263; algorithms.md A.7): dynamic regularisation. Sites keep a dual gradient
// q_k, start at 0, and minimise f_k(y) - <q_k, y> + alpha/2 |y - x|^2; then q_k <- q_k - alpha D_k.
// The server:
//
//   h <- h - (alpha/N) sum_k D_k
//   x <- x + mean_k D_k - h / alpha
//
// so that h is the mean of the q_k of all N registered sites. Sites count equally, and the step has
// no learning rate. Small alpha with few local steps makes h / alpha noisy: clip gradients. State:
// h.
#pragma once

#include "aggregators/aggregator.h"

namespace tributary::aggregators {

const Strategy& FedDynStrategy();

}  // namespace tributary::aggregators

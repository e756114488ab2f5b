// FedNova (arXiv:2007.07481; algorithms.md A.4): each update is divided by the steps that it is
// worth,
//
//   x <- x + eta * tau * sum_k p_k D_k / a_k,   tau = sum_k p_k a_k
//
// so that sites that make more local steps do not pull the optimum towards them. a_k, for E steps
// of SGD: E; with the sites' heavy-ball momentum rho: (E - rho (1 - rho^E) / (1 - rho)) / (1 -
// rho); with a proximal term mu at learning rate l: (1 - (1 - l mu)^E) / (l mu), and tau = sum_k
// p_k E_k; with `steps: learning-rate` the sum of the step sizes. Adam and AdamW have no exact a_k:
// E, or the sum, is the usual stand-in. A site without steps is left out, and the others' weights
// are scaled up. State, with server_momentum: its vector (server_momentum.h).
#pragma once

#include "aggregators/aggregator.h"

namespace tributary::aggregators {

const Strategy& FedNovaStrategy();

}  // namespace tributary::aggregators

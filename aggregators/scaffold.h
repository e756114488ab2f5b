// SCAFFOLD (arXiv:1910.06378; algorithms.md A.5): control variates against client drift. Sites add
// c - c_k to every gradient, and send with the update D_k the change of their own variate (option
// II),
//
//   dc_k = -c - D_k / (sum of the learning rates)
//
// The server:
//
//   x <- x + eta sum_k p_k D_k,   c <- c + (1/N) sum_k dc_k
//
// N counts the sites that are registered, not those that contribute: so c stays the mean of all c_k
// (NVFlare leaves the factor out, which is right only when all contribute). Works with SGD; with
// momentum or Adam dc_k is no estimate of a gradient. Weak when few of many sites take part.
// State: c ("control"), which sites are sent; each site keeps its c_k between tasks.
#pragma once

#include "aggregators/aggregator.h"

namespace tributary::aggregators {

const Strategy& ScaffoldStrategy();

}  // namespace tributary::aggregators

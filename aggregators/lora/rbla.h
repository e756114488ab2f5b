// RBLA: the means of A and of B, rank by rank, over the sites that trained the rank
// (arXiv:2408.08699; reference/algorithms.md, C.2).
//
//   A_j <- A_j + eta sum_{k in T_j} (p_k / P_j) (A_kj - A_j), the same for columns of B
//
// Ranks do not collapse; inside a rank the mean is biased like fedit's. Ranks that no site trained
// stay as they are.
#pragma once

#include "aggregators/aggregator.h"

namespace tributary::aggregators {

const Strategy& RblaStrategy();

}  // namespace tributary::aggregators

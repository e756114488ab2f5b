// Fed-PLoRA: the adapter as R rank-1 modules, of which every site draws as many as it can train
// (arXiv:2602.16936; reference/algorithms.md, C.20).
//
//   A_j <- A_j + eta sum_{k in T_j} (p_k / P_j) (A_kj - A_j), the same for columns of B
//
// Sites with fewer ranks draw theirs anew for each task; the others act, frozen, in their base
// weights, so every site starts from the whole version. Ranks that no site drew stay. Inside a rank
// the mean is biased like fedit's; with all ranks at all sites it is fedit.
#pragma once

#include "aggregators/aggregator.h"

namespace tributary::aggregators {

const Strategy& FedPLoraStrategy();

}  // namespace tributary::aggregators

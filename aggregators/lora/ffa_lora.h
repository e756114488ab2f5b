// FFA-LoRA: A stays as it was made for the whole campaign, only B is trained and averaged
// (arXiv:2403.12313; reference/algorithms.md, C.6).
//
//   B_j <- B_j + eta sum_{k in T_j} (p_k / P_j) (B_kj - B_j)
//
// Exact: mean(B_k) A = mean(B_k A). The update never leaves the row space of A, which limits what
// can be learnt; about twice LoRA's learning rate is usual. Sites with fewer ranks train the first
// rows of the same A. Noise for privacy lands on B alone, without a quadratic term.
#pragma once

#include "aggregators/aggregator.h"

namespace tributary::aggregators {

const Strategy& FfaLoraStrategy();

}  // namespace tributary::aggregators

// FedEx-LoRA: fedit, and the error that it makes is merged into the base
// (arXiv:2410.09432; reference/algorithms.md, C.7).
//
//   A, B <- means,   M <- M + s sum_k p_k (B_k - B)(A_k - A)
//
// Exact for any ranks: after the round W0 + M + s B A is the mean of what the sites computed with.
// The residual is the cross-covariance of C.0.4, rank <= (K - 1) R; it travels and is logged as
// factors in the order of their singular values. Option residual_rank keeps the best approximation
// of that rank, and logs the energy it drops.
//
// Mixed ranks: ranks that a site does not train act in its base, so its B_k, A_k here are the
// version's own for those. The means then need no zeros, nothing collapses, and a round without
// training merges nothing.
#pragma once

#include "aggregators/aggregator.h"

namespace tributary::aggregators {

const Strategy& FedExLoraStrategy();

}  // namespace tributary::aggregators

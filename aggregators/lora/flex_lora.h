// FlexLoRA, also known as HLoRA: the truncated SVD of the mean product
// (arXiv:2402.11505, arXiv:2503.00813; reference/algorithms.md, C.4).
//
//   sum_k p_k B_k A_k = U Sigma V^T,   B, A <- its R largest components
//
// Ranks are ordered by singular value, so a site with fewer ranks trains the first. Under mixed
// ranks they collapse: a round without training multiplies the j-th singular value by P_j. The
// basis changes every round, so optimizer moments from before it mean nothing. Option split: where
// the singular values go; the paper's is `left` (B = U Sigma, A = V^T).
#pragma once

#include "aggregators/aggregator.h"

namespace tributary::aggregators {

const Strategy& FlexLoraStrategy();

}  // namespace tributary::aggregators

// HetLoRA: zero-padded means with the norms of the sites' products as weights
// (arXiv:2401.06432; reference/algorithms.md, C.2).
//
//   w_k = |B_k A_k|_F / sum_l |B_l A_l|_F,   A <- sum_k w_k A_k,   B <- sum_k w_k B_k
//
// The norm is that of the whole adapter, so every module and every other tensor uses one weight.
// When all norms are zero, `aggregator.weights` decide. A site could lie itself heavy: max_share
// bounds the share of one (1: no bound, as published; never below 1/K); what is cut goes to the
// others in proportion. High ranks collapse as with zero-pad: a baseline under mixed ranks.
//
// Sites prune themselves: the loss gets rank_penalty |B[:, g r..r]| |A[g r..r, :]|, and where that
// product of norms shrank in a task, the site trains g r ranks from then on (at least least_rank).
// The ranks that it gave up are zero in what it trained, as if it had padded fewer.
#pragma once

#include "aggregators/aggregator.h"

namespace tributary::aggregators {

const Strategy& HetLoraStrategy();

}  // namespace tributary::aggregators

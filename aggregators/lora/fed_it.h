// FedIT: the weighted means of A and of B (arXiv:2305.05644; reference/algorithms.md, C.1).
//
//   A <- A + eta sum_k p_k (A_k - A),   B <- B + eta sum_k p_k (B_k - B)
//
// The product of means is not the mean of products: it lacks the weighted cross-covariance
// sum_k p_k (B_k - B)(A_k - A) (C.0.4), which grows with local steps and with how much sites
// differ. Exact when all sites hold the same A or the same B. All ranks of all sites.
//
// zero-pad is the same on mixed ranks, with zeros for ranks that a site did not train. A baseline:
// without any training a round multiplies the product of rank j by P_j^2, the squared weight of the
// sites that have it ("rank collapse", C.0.4). Use raflora, fed-plora or foldflex instead.
#pragma once

#include "aggregators/aggregator.h"

namespace tributary::aggregators {

const Strategy& FedItStrategy();
const Strategy& ZeroPadStrategy();

}  // namespace tributary::aggregators

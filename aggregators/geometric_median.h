// Geometric median, RFA (arXiv:1912.13445; algorithms.md B.5): the point with the least weighted
// sum of distances to the updates, by smoothed Weiszfeld from the weighted mean,
//
//   beta_k = p_k / max(nu, |D_k - z|),   z <- sum_k beta_k D_k / sum_k beta_k
//
// on inner products alone: every z is a combination of the updates. Withstands wrong sites with
// less than half of the weight; fewer than 2 `faulty` + 1 sites are refused.
#pragma once

#include "aggregators/aggregator.h"

namespace tributary::aggregators {

const Strategy& GeometricMedianStrategy();

}  // namespace tributary::aggregators

// Norm clipping (arXiv:1911.07963; algorithms.md B.6): the weighted mean of updates that are
// shortened to a norm of at most C,
//
//   x <- x + eta * sum_k p_k D_k min(1, C / |D_k|)
//
// The norm is that of all tensors together, in fp64, as they travel. C is `clip`, or with `clip: 0`
// the median of the norms of the round (of an even number, the mean of the two in the middle).
// Bounds what one site can do; removes nobody.
#pragma once

#include "aggregators/aggregator.h"

namespace tributary::aggregators {

const Strategy& NormClipStrategy();

}  // namespace tributary::aggregators

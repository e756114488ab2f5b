// Centered clipping (arXiv:2012.10333; algorithms.md B.8): updates are clipped to a ball around v,
// the last round's aggregate,
//
//   v <- v + mean_k (D_k - v) min(1, tau / |D_k - v|)     (L times)
//   x <- x + eta v
//
// on inner products alone. Sites count equally. tau of the paper is 10 for updates with momentum
// 0.9; it has the unit of the updates' norm: choose it by theirs. State: v ("center").
#pragma once

#include "aggregators/aggregator.h"

namespace tributary::aggregators {

const Strategy& CenteredClipStrategy();

}  // namespace tributary::aggregators

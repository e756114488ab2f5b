// Coordinate-wise median (arXiv:1803.01498; algorithms.md B.1): x <- x + eta * median_k D_k, the
// middle value of each coordinate, or the mean of the two in the middle. Withstands f wrong sites
// of 2f + 1; fewer are refused. `weighted: yes`: the least value at which half of the weight is
// reached. Biased when sites' data differ, also without attack. On LoRA factors, as on any
// coordinates, it is not invariant to a change of basis.
#pragma once

#include "aggregators/aggregator.h"

namespace tributary::aggregators {

const Strategy& MedianStrategy();

}  // namespace tributary::aggregators

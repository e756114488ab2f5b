// Trimmed mean (arXiv:1803.01498; algorithms.md B.2): of each coordinate the b smallest and the b
// largest values are dropped, and the rest averaged; b = floor(trim * K). Withstands b wrong sites.
// A round in which b would be less than `faulty`, or nothing would be left, is refused: with trim
// 0.2 and 4 sites b would silently be 0.
#pragma once

#include "aggregators/aggregator.h"

namespace tributary::aggregators {

const Strategy& TrimmedMeanStrategy();

}  // namespace tributary::aggregators

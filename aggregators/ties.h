// TIES (arXiv:2306.01708; algorithms.md A.14): of each site's update only the largest magnitudes
// are kept, the fraction `keep` of every tensor (all that equal the least of them too); each
// coordinate takes the sign of the sum of the kept values, plus when that is 0, and becomes the
// mean of the kept values of that sign:
//
//   x <- x + eta * scale * TIES(D_1 .. D_K)
//
// Over many rounds it is a mean with a consensus of signs. Sites count equally. Merging LoRA
// factors this way treats A and B separately; TIES means whole weights (adapter.kind full).
#pragma once

#include "aggregators/aggregator.h"

namespace tributary::aggregators {

const Strategy& TiesStrategy();

}  // namespace tributary::aggregators

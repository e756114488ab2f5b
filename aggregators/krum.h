// Krum and Multi-Krum (arXiv:1703.02757; algorithms.md B.3): each update is scored by the sum of
// its K - f - 2 smallest squared distances to the others. Krum takes the update with the lowest
// score whole; Multi-Krum the plain mean of the m lowest. Ties go to the first site by name.
// Withstands f wrong sites of 2f + 3; fewer are refused. Distances are those of the tensors as they
// travel; under LoRA those of the factors, which depend on their gauge.
#pragma once

#include "aggregators/aggregator.h"

namespace tributary::aggregators {

const Strategy& KrumStrategy();
const Strategy& MultiKrumStrategy();

}  // namespace tributary::aggregators

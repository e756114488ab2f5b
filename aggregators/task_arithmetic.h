// Task arithmetic (arXiv:2212.04089; algorithms.md A.14): x <- x + eta * scale * sum_k D_k, the sum
// of the updates, not their mean: with scale = 1 / K it is the uniform soup. Sites count equally.
#pragma once

#include "aggregators/aggregator.h"

namespace tributary::aggregators {

const Strategy& TaskArithmeticStrategy();

}  // namespace tributary::aggregators

// Decayed mean: the weighted mean of the updates on a version that shrinks a little every round.
//
//   x <- (1 - decay) x + eta sum_k p_k D_k
//
// What no site's data holds up fades. eta is aggregator.server_learning_rate, p_k follow
// aggregator.weights. No state.
#pragma once

#include "aggregators/aggregator.h"

namespace tributary::aggregators {

const Strategy& DecayedMeanStrategy();

}  // namespace tributary::aggregators

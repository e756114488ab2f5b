// Bulyan (arXiv:1802.07927; algorithms.md B.4): Krum picks K - 2f updates, one after the other from
// those that are left (with max(1, |left| - f - 2) neighbours); then each coordinate is the mean of
// the K - 4f of the picked values that lie nearest to their median. Withstands f wrong sites of 4f
// + 3; fewer are refused.
#pragma once

#include "aggregators/aggregator.h"

namespace tributary::aggregators {

const Strategy& BulyanStrategy();

}  // namespace tributary::aggregators

// DARE (arXiv:2311.03099; algorithms.md A.14): of each site's update every coordinate is dropped
// with probability p and what is left divided by 1 - p; then the sites are averaged (`then: soup`)
// or their signs elected as TIES does (`then: ties`, without its trimming). What is dropped depends
// on the campaign's seed, the round, the site, the tensor and the coordinate, on nothing else.
// (mergekit keeps the L1 norm instead of dividing by 1 - p.) Sites count equally.
#pragma once

#include "aggregators/aggregator.h"

namespace tributary::aggregators {

const Strategy& DareStrategy();

}  // namespace tributary::aggregators

// FLTrust (arXiv:2012.13995; algorithms.md B.7): a trusted update D_0 judges the others by
// direction,
//
//   TS_k = max(0, cos(D_k, D_0))
//   x <- x + eta * sum_k TS_k (|D_0| / |D_k|) D_k / sum_k TS_k
//
// In the paper the server trains D_0 on a small set of its own; here no data leaves the sites, so
// `root_site` names the site whose update is D_0. It is the judge and is not averaged. When nobody
// is trusted the version stays. A round without the root site is refused.
#pragma once

#include "aggregators/aggregator.h"

namespace tributary::aggregators {

const Strategy& FlTrustStrategy();

}  // namespace tributary::aggregators

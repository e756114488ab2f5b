// MIFA (arXiv:2106.04159; algorithms.md A.12): the server remembers each site's last update G_k,
// and every round uses those of all N registered sites,
//
//   x <- x + eta * (1/N) sum_k G_k
//
// so that sites that are seldom there are not forgotten. Sites send plain updates; the server takes
// the difference to the last one itself, and counts nothing twice. A site that was never there
// counts as zero. State: "sum", and "last/<site>" for each site: N + 1 times the version.
#pragma once

#include "aggregators/aggregator.h"

namespace tributary::aggregators {

const Strategy& MifaStrategy();

}  // namespace tributary::aggregators

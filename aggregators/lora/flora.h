// FLoRA: the sites' products are stacked and merged into the base; the adapter starts afresh
// (arXiv:2409.05976; reference/algorithms.md, C.3).
//
//   M <- M + sum_k p_k s B_k A_k,   A <- random (campaign seed, round, module),   B <- 0
//
// Exact for any ranks. The stack [p_1 s B_1 | ...], [A_1; ...] travels to every site and is kept in
// the log of merged products: its rank is the sum of all ranks. Each weight is used once (the
// authors' code scales A only; scaling both factors would give p_k^2). Option merged_rank sends the
// best approximation of that rank instead, and logs the energy it drops.
//
// A fresh adapter costs the first steps of every round: with few local steps this is the worst
// choice, with long rounds among the best (C.23). Ranks that a site does not train act in its base:
// they are zero after the first round, and count when a campaign starts from a trained adapter.
#pragma once

#include "aggregators/aggregator.h"

namespace tributary::aggregators {

const Strategy& FloraStrategy();

}  // namespace tributary::aggregators

// FoldFlex, experimental: this project's own combination of FlexLoRA's ordering, Fed-PLoRA's
// folding and FedEx's merging; not a published method (reference/algorithms.md, C.22).
//
//   P = s sum_k p_k (B_k A_k + tail_k) = U Sigma V^T,   tail_k: the ranks that site k did not train
//   B, A <- the R largest components;   M <- M + the rest (mode exact), or it is dropped (budget)
//
// Ranks are ordered; a site trains the first it can and folds the others into its base, so every
// site starts from the whole version and the server knows its tail without an upload. Exact for any
// ranks in mode exact; in mode budget up to what R ranks hold, and the dropped energy is logged. A
// round without training changes no product. Option tolerance, mode exact: components that
// together hold at most this part of the energy are dropped instead of merged.
#pragma once

#include "aggregators/aggregator.h"

namespace tributary::aggregators {

const Strategy& FoldFlexStrategy();

}  // namespace tributary::aggregators

// Fed-SB: an R x R matrix between fixed factors is all that is trained
// (arXiv:2502.15436; reference/algorithms.md, C.12).
//
//   W = W0 + M + s B C A,   C <- C + eta sum_k p_k (C_k - C),   A and B fixed and common
//
// Exact: B mean(C_k) A = mean(B C_k A). C is the tensor "<module>.lora_C.weight" [R, R] of the
// adapter; only it travels, so traffic does not depend on the size of the layers. A and B come with
// the first adapter (the paper: singular vectors of an estimated first full update). R has to be
// larger than usual (32 to 200). Equal ranks.
#pragma once

#include "aggregators/aggregator.h"

namespace tributary::aggregators {

const Strategy& FedSbStrategy();

}  // namespace tributary::aggregators

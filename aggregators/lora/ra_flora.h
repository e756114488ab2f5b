// raFLoRA: FlexLoRA whose ranks are averaged over the sites that have them
// (arXiv:2602.13486; reference/algorithms.md, C.5; reconstructed from the abstract there).
//
//   sum_j sum_{k in T_j} (p_k / P_j) B_k[:, j] A_k[j, :] = U Sigma V^T,   B, A <- its R largest
//
// A rank that nobody trained stays. A round without training changes nothing, whatever the ranks;
// equal ranks are FlexLoRA. The highest ranks are what the few sites with high ranks say, which is
// a bias when sites differ much. Option split as in FlexLoRA.
#pragma once

#include "aggregators/aggregator.h"

namespace tributary::aggregators {

const Strategy& RaFloraStrategy();

}  // namespace tributary::aggregators

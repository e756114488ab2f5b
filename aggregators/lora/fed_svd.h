// FedSVD: only B is trained; the server averages it and refactors B A so that A has orthonormal
// rows (arXiv:2505.12805; reference/algorithms.md, C.14).
//
//   B <- sum_k p_k B_k,   B A = U Sigma V^T,   A <- V^T,   B <- U Sigma
//
// Exact. The rows of the new A span the old ones: this conditions FFA-LoRA better, and gives it no
// new directions. While B has less than full rank, the missing rows are completed inside the old
// row space, so none is lost. Option period: rounds between refactorisations. Equal ranks.
#pragma once

#include "aggregators/aggregator.h"

namespace tributary::aggregators {

const Strategy& FedSvdStrategy();

}  // namespace tributary::aggregators

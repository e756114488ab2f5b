// LoRA-FAIR: fedit with a B that is corrected towards the mean of the products
// (arXiv:2411.14961; reference/algorithms.md, C.10).
//
//   A <- mean,   B <- mean(B_k) + X,   X = argmin |sum_k p_k B_k A_k - (mean(B_k) + X) A|^2
//                                                 + ridge |X|^2
//
// in closed form, X = (sum_k p_k (B_k - B)(A_k - A) A^T) (A A^T + ridge I)^-1, an R x R system. The
// paper minimises a cosine distance by gradient steps; the closed form is this project's choice.
// What lies outside the row space of the mean A stays lost. A large ridge is fedit; with 0, B is
// exact in that row space, and the paper found it worse. Equal ranks.
#pragma once

#include "aggregators/aggregator.h"

namespace tributary::aggregators {

const Strategy& LoraFairStrategy();

}  // namespace tributary::aggregators

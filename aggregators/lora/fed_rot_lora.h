// FedRot-LoRA: every site's factors are turned into the version's basis before they are averaged
// (arXiv:2602.23638; reference/algorithms.md, C.11).
//
//   odd rounds:  R = argmin_rotation |R^T A_k - A|,   even rounds: |B_k R - B|
//   R' = polar((1 - strength) I + strength R),   A <- sum_k p_k R'^T A_k,   B <- sum_k p_k B_k R'
//
// (B R)(R^T A) = B A, so turning changes no product; it lessens the cross-covariance that fedit
// loses. The paper turns at the site before the upload. Here the server does: the rotation is a
// function of the version and of the factors that it receives anyway, so the result is the same
// and sites need no part in it, but sums of hidden updates cannot be used. While B is 0, A is
// aligned. strength 0 is fedit. Equal ranks.
#pragma once

#include "aggregators/aggregator.h"

namespace tributary::aggregators {

const Strategy& FedRotLoraStrategy();

}  // namespace tributary::aggregators

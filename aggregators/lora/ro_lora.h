// RoLoRA: B and A take turns; the one that rests is frozen and shared
// (arXiv:2409.02346, arXiv:2502.01755; reference/algorithms.md, C.8).
//
//   odd phases:  B <- B + eta sum_k p_k (B_k - B), A frozen;   even phases: the same for A
//
// Exact in every round, half the traffic. The phase follows the round's number, so a restarted
// server goes on with the right one; the first phase trains B, because with B = 0 the gradient of A
// vanishes. Option phase_length: rounds of a phase.
#pragma once

#include "aggregators/aggregator.h"

namespace tributary::aggregators {

const Strategy& RoLoraStrategy();

}  // namespace tributary::aggregators

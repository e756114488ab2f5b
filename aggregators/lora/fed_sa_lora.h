// FedSA-LoRA: A is shared and averaged, every site keeps a B of its own
// (arXiv:2410.01463; reference/algorithms.md, C.9).
//
//   A <- A + eta sum_k p_k (A_k - A);   B_k never leaves site k
//
// Personalised: there is no single global model. A version's B is the first adapter's, and means
// nothing; an export is A with the B of one site, which that site keeps in durable storage. Numbers
// of such models, each on its site's own data, do not compare with those of a global model. Heads
// and other tensors are averaged (the authors keep the classifier local).
#pragma once

#include "aggregators/aggregator.h"

namespace tributary::aggregators {

const Strategy& FedSaLoraStrategy();

}  // namespace tributary::aggregators

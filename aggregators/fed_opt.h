// FedAdagrad, FedAdam and FedYogi (arXiv:2003.00295; algorithms.md A.6): an adaptive optimizer at
// the server. With D = sum_k p_k D_k:
//
//   m <- beta1 m + (1 - beta1) D
//   v <- v + D^2                                      FedAdagrad
//   v <- beta2 v + (1 - beta2) D^2                    FedAdam
//   v <- v - (1 - beta2) D^2 sign(v - D^2)            FedYogi
//   x <- x + eta m / (sqrt(v) + tau)
//
// eta = options.learning_rate * aggregator.server_learning_rate. tau is no mere epsilon: it sets
// how adaptive the step is. Conventions in use, option `convention`:
//
//   paper        no bias correction, v starts at tau^2
//   flower       FedAdam: eta sqrt(1 - beta2^(t+1)) / (1 - beta1^(t+1)), t the round; v starts at 0
//   openfedllm   m = D in the first round; FedAdam and FedYogi use m^2 in place of D^2; v starts at
//                tau^2
//
// State: v, and m when beta1 > 0.
#pragma once

#include "aggregators/aggregator.h"

namespace tributary::aggregators {

const Strategy& FedAdagradStrategy();
const Strategy& FedAdamStrategy();
const Strategy& FedYogiStrategy();

}  // namespace tributary::aggregators

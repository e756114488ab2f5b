// FedAvg: the weighted mean of the updates (McMahan et al., arXiv:1602.05629).
//
//   x_{t+1} = x_t + eta_g * sum_k p_k D_k,   p_k = n_k / sum n
//
// with n_k = 1, samples, tokens or steps as the campaign says. Accumulates in fp32, in site order.
#pragma once

#include <memory>

#include "aggregators/aggregator.h"

namespace tributary::aggregators {

std::unique_ptr<Aggregator> MakeFedAvg(const AggregatorSection& section);

}  // namespace tributary::aggregators

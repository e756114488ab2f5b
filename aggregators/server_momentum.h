// The outer SGD step with momentum, which FedAvgM, FedNova and DiLoCo take.
#pragma once

#include <span>

#include "aggregators/round.h"
#include "core/status.h"

namespace tributary::aggregators {

struct ServerMomentum {
  double momentum = 0;
  double dampening = 0;
  bool nesterov = false;
};

// With s = sum_k c_k D_k, the step downhill:
//
//   b <- momentum b + (1 - dampening) s     (b = s in the first round)
//   x <- x + eta b                          (nesterov: x + eta (s + momentum b))
//
// as PyTorch's SGD does. b is the state vector "momentum"; without momentum there is no state.
// Makes the next version.
Status AddWithMomentum(Round& round, std::span<const double> coefficients,
                       const ServerMomentum& rule, double eta);

}  // namespace tributary::aggregators

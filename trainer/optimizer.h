// AdamW with decoupled weight decay, learning-rate schedules, clipping.
#pragma once

#include <cstdint>
#include <vector>

#include "core/task_contract.h"
#include "trainer/weights.h"

namespace tributary::trainer {

// The learning rate of step `step` (from 0) of settings.steps: linear warm-up over warmup_steps,
// reaching the full rate at its end, then constant or a half cosine down to zero; times
// learning_rate_scale.
double LearningRate(const TrainingSettings& settings, std::int64_t step);

// Scales the gradients of `parameters` so that their joint Euclidean norm is at most `max_norm` (0:
// leaves them) and returns the norm before. Summed in double, in name order.
double ClipGradients(const NamedTensors& parameters, double max_norm);

// AdamW (arXiv 1711.05101): decay acts on the weight directly, and only on matrices, never on norm
// weights. Not thread-safe.
class AdamW {
 public:
  // Parameters require gradients and are updated in place.
  AdamW(const NamedTensors& parameters, const TrainingSettings& settings);

  // Applies the gradients and clears them. A parameter without gradient is left alone.
  void Step(double learning_rate);

 private:
  struct Slot {
    at::Tensor parameter;
    at::Tensor mean;
    at::Tensor variance;
  };
  std::vector<Slot> slots_;
  TrainingSettings settings_;
  std::int64_t steps_ = 0;
};

}  // namespace tributary::trainer

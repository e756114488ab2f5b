// Optimizers, learning-rate schedules, clipping.
#pragma once

#include <cstdint>
#include <memory>

#include "core/status.h"
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

// Not thread-safe.
class Optimizer {
 public:
  virtual ~Optimizer() = default;
  // Applies the gradients and clears them. A parameter without gradient is left alone.
  virtual void Step(double learning_rate) = 0;
  // All that lasts from step to step, as float tensors; and takes it over from an optimizer of the
  // same kind and parameters. Invalid argument when it does not fit.
  virtual NamedTensors State() const = 0;
  virtual Status Restore(const NamedTensors& state) = 0;
};

// As settings.optimizer says. `parameters` require gradients and are updated in place.
//   adamw  arXiv 1711.05101: decay acts on the weight directly, and only on matrices, never on norm
//          weights
//   sgd    b = momentum b + g, y -= rate (b + weight_decay y); decay likewise only on matrices
std::unique_ptr<Optimizer> MakeOptimizer(const NamedTensors& parameters,
                                         const TrainingSettings& settings);

}  // namespace tributary::trainer

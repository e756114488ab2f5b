// What a federated strategy adds to the loss of a site: a pull towards the version that the task
// started from (FedProx, arXiv:1812.06127), and a fixed offset of the gradient (control variates,
// arXiv:1910.06378; dual gradients, arXiv:2111.04263).
#pragma once

#include <string>

#include "core/status.h"
#include "core/task_contract.h"
#include "trainer/weights.h"

namespace tributary::trainer {

class LocalObjective {
 public:
  // Adds nothing.
  LocalObjective() = default;
  // `parameters` are the trained tensors, at their start. Reads task.gradient_offset, relative to
  // `directory`, which must have a tensor of its shape for each of them.
  static Result<LocalObjective> Make(const TaskFile& task, const std::string& directory,
                                     const NamedTensors& parameters);

  // gradient += proximal * (y - x). Part of the loss's gradient: before it is clipped.
  void AddToGradients(const NamedTensors& parameters) const;
  // y -= learning_rate * offset. Beside the optimizer, not through it: an adaptive one would scale
  // the offset away. With plain SGD both are the same.
  void AfterStep(const NamedTensors& parameters, double learning_rate) const;

 private:
  double proximal_ = 0;
  NamedTensors start_;   // with proximal_ > 0
  NamedTensors offset_;  // may be empty
};

}  // namespace tributary::trainer

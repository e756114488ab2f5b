// What a federated strategy adds to the loss of a site: a pull towards the version that the task
// started from (FedProx, arXiv:1812.06127), a fixed offset of the gradient (control variates,
// arXiv:1910.06378; dual gradients, arXiv:2111.04263), and a price on the last ranks of an adapter
// (HetLoRA, arXiv:2401.06432).
#pragma once

#include <optional>
#include <string>

#include "core/status.h"
#include "core/task_contract.h"
#include "trainer/weights.h"

namespace tributary::trainer {

// Ranks that the site gave up become zero in both factors: before the objective is made.
void DropRanks(const PrunedRanks& pruning, const NamedTensors& parameters);

class LocalObjective {
 public:
  // Adds nothing.
  LocalObjective() = default;
  // `parameters` are the trained tensors, at their start. Reads task.gradient_offset, relative to
  // `directory`, which must have a tensor of its shape for each of them.
  static Result<LocalObjective> Make(const TaskFile& task, const std::string& directory,
                                     const NamedTensors& parameters);

  // gradient += proximal * (y - x), and that of penalty * sum over modules of |B[:, from:kept]|
  // |A[from:kept]| (Frobenius norms; 0 where one of them is 0). Parts of the loss's gradient:
  // before it is clipped.
  void AddToGradients(const NamedTensors& parameters) const;
  // y -= learning_rate * offset. Beside the optimizer, not through it: an adaptive one would scale
  // the offset away. With plain SGD both are the same. Ranks that were dropped stay zero.
  void AfterStep(const NamedTensors& parameters, double learning_rate) const;

 private:
  double proximal_ = 0;
  NamedTensors start_;   // with proximal_ > 0
  NamedTensors offset_;  // may be empty
  std::optional<PrunedRanks> pruning_;
};

}  // namespace tributary::trainer

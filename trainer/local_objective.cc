#include "trainer/local_objective.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "core/files.h"

namespace tributary::trainer {

Result<LocalObjective> LocalObjective::Make(const TaskFile& task, const std::string& directory,
                                            const NamedTensors& parameters) {
  LocalObjective objective;
  objective.proximal_ = task.proximal;
  if (task.proximal > 0) {
    for (const auto& [name, tensor] : parameters) {
      objective.start_[name] = tensor.detach().clone();
    }
  }
  if (task.gradient_offset.empty()) return objective;
  const std::string path = JoinPath(directory, task.gradient_offset);
  TRIBUTARY_ASSIGN_OR_RETURN(objective.offset_, LoadWeights(path, at::kFloat));
  for (const auto& [name, tensor] : parameters) {
    const auto it = objective.offset_.find(name);
    if (it == objective.offset_.end() || it->second.sizes() != tensor.sizes()) {
      return InvalidArgumentError(path + ": has no tensor " + name + " of its shape");
    }
  }
  return objective;
}

void LocalObjective::AddToGradients(const NamedTensors& parameters) const {
  if (proximal_ == 0) return;
  const at::NoGradGuard no_grad;
  for (const auto& [name, parameter] : parameters) {
    if (!parameter.grad().defined()) continue;
    parameter.mutable_grad().add_(parameter - start_.find(name)->second, proximal_);
  }
}

void LocalObjective::AfterStep(const NamedTensors& parameters, double learning_rate) const {
  if (offset_.empty()) return;
  const at::NoGradGuard no_grad;
  for (const auto& [name, parameter] : parameters) {
    at::Tensor weights = parameter;
    weights.sub_(offset_.find(name)->second, learning_rate);
  }
}

}  // namespace tributary::trainer

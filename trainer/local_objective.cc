#include "trainer/local_objective.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "core/files.h"
#include "core/train_directive.h"

namespace tributary::trainer {
namespace {

// d |A| |B| / dA = |B| / |A| * A on the ranks that are to be emptied; the same of B.
void AddRankPenalty(const PrunedRanks& pruning, const NamedTensors& parameters) {
  for (const auto& [name, a] : parameters) {
    if (!IsLoraA(name)) continue;
    const auto b = parameters.find(LoraBOf(name));
    if (b == parameters.end() || !a.grad().defined() || !b->second.grad().defined()) continue;
    const auto last_of_a = [&](const at::Tensor& x) {
      return x.slice(0, pruning.from, pruning.kept);
    };
    const auto last_of_b = [&](const at::Tensor& x) {
      return x.slice(1, pruning.from, pruning.kept);
    };
    const double norm_a = last_of_a(a).norm().item<double>();
    const double norm_b = last_of_b(b->second).norm().item<double>();
    if (norm_a == 0 || norm_b == 0) continue;
    last_of_a(a.mutable_grad()).add_(last_of_a(a), pruning.penalty * norm_b / norm_a);
    last_of_b(b->second.mutable_grad())
        .add_(last_of_b(b->second), pruning.penalty * norm_a / norm_b);
  }
}

}  // namespace

void DropRanks(const PrunedRanks& pruning, const NamedTensors& parameters) {
  const at::NoGradGuard no_grad;
  for (const auto& [name, parameter] : parameters) {
    if (IsLoraA(name)) parameter.slice(0, pruning.kept).zero_();
    if (IsLoraB(name)) parameter.slice(1, pruning.kept).zero_();
  }
}

Result<LocalObjective> LocalObjective::Make(const TaskFile& task, const std::string& directory,
                                            const NamedTensors& parameters) {
  LocalObjective objective;
  objective.proximal_ = task.proximal;
  objective.pruning_ = task.pruning;
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
  const at::NoGradGuard no_grad;
  if (pruning_) AddRankPenalty(*pruning_, parameters);
  if (proximal_ == 0) return;
  for (const auto& [name, parameter] : parameters) {
    if (!parameter.grad().defined()) continue;
    parameter.mutable_grad().add_(parameter - start_.find(name)->second, proximal_);
  }
}

void LocalObjective::AfterStep(const NamedTensors& parameters, double learning_rate) const {
  const at::NoGradGuard no_grad;
  if (!offset_.empty()) {
    for (const auto& [name, parameter] : parameters) {
      at::Tensor weights = parameter;
      weights.sub_(offset_.find(name)->second, learning_rate);
    }
  }
  if (pruning_) DropRanks(*pruning_, parameters);
}

}  // namespace tributary::trainer

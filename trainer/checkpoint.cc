#include "trainer/checkpoint.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "core/files.h"
#include "core/safetensors.h"

namespace tributary::trainer {
namespace {

constexpr double kShare = 20;  // a save may take one part in so many
constexpr std::string_view kTask = "task";
constexpr const char* kWeight = "weight/";
constexpr const char* kOptimizer = "optimizer/";
constexpr const char* kLosses = "losses";    // F64 [steps]
constexpr const char* kNumbers = "numbers";  // F64: samples, tokens, sum of the learning rates

// `fallback` where the variable is not set.
Result<double> PositiveVariable(const char* name, double fallback) {
  const char* text = std::getenv(name);  // NOLINT(concurrency-mt-unsafe)
  if (text == nullptr || *text == '\0') return fallback;
  char* end = nullptr;
  const double value = std::strtod(text, &end);
  if (*end == '\0' && value > 0 && value < 1e9) return value;
  return InvalidArgumentError(std::string(name) + " is \"" + text +
                              "\"; must be a positive number");
}

NamedTensors ToTensors(const TrainingState& state, const NamedTensors& parameters,
                       const Optimizer& optimizer) {
  NamedTensors all;
  for (const auto& [name, tensor] : parameters) all[kWeight + name] = tensor.detach();
  for (const auto& [name, tensor] : optimizer.State()) all[kOptimizer + name] = tensor;
  all[kLosses] = at::tensor(state.losses, at::kDouble);
  all[kNumbers] = at::tensor({static_cast<double>(state.samples), static_cast<double>(state.tokens),
                              state.learning_rate_sum},
                             at::kDouble);
  return all;
}

Result<NamedTensors> ReadTensors(const SafetensorsFile& file) {
  NamedTensors all;
  for (const SafetensorsEntry& entry : file.header().tensors) {
    const bool wide = entry.spec.dtype == DType::kF64;
    if (!wide && entry.spec.dtype != DType::kF32) return DataLossError("not a checkpoint");
    at::Tensor tensor = at::empty(entry.spec.shape, wide ? at::kDouble : at::kFloat);
    std::memcpy(tensor.data_ptr(), file.Bytes(entry).data(), file.Bytes(entry).size());
    all[entry.spec.name] = tensor;
  }
  return all;
}

}  // namespace

Result<Checkpoint> Checkpoint::Open(const std::string& directory, const std::string& task) {
  Checkpoint checkpoint;
  checkpoint.path_ = JoinPath(directory, kCheckpointFile);
  checkpoint.task_ = task;
  TRIBUTARY_ASSIGN_OR_RETURN(const double steps, PositiveVariable("TRIBUTARY_CHECKPOINT_STEPS", 0));
  TRIBUTARY_ASSIGN_OR_RETURN(const double seconds, PositiveVariable("TRIBUTARY_CHECKPOINT_SECONDS",
                                                                    checkpoint.every_.count()));
  checkpoint.every_steps_ = static_cast<std::int64_t>(steps);
  checkpoint.every_ = std::chrono::duration<double>(seconds);
  return checkpoint;
}

bool Checkpoint::Due(const TrainingState& state) const {
  if (every_steps_ > 0) return state.steps() % every_steps_ == 0;
  return Steady::now() - saved_ >= std::max(every_, cost_ * kShare);
}

Status Checkpoint::Save(const TrainingState& state, const NamedTensors& parameters,
                        const Optimizer& optimizer) {
  const Steady::time_point begin = Steady::now();
  const NamedTensors all = ToTensors(state, parameters, optimizer);
  Manifest manifest;
  for (const auto& [name, tensor] : all) {
    const bool wide = tensor.scalar_type() == at::kDouble;
    manifest.push_back({name, wide ? DType::kF64 : DType::kF32, tensor.sizes().vec()});
  }
  TRIBUTARY_ASSIGN_OR_RETURN(
      SafetensorsWriter writer,
      SafetensorsWriter::Create(path_, std::move(manifest), {{std::string(kTask), task_}}));
  for (const TensorSpec& spec : Manifest(writer.manifest())) {
    const at::Tensor whole = all.find(spec.name)->second.contiguous();
    TRIBUTARY_RETURN_IF_ERROR(
        writer.Append({static_cast<const std::byte*>(whole.data_ptr()), spec.ByteCount()}));
  }
  TRIBUTARY_RETURN_IF_ERROR(writer.Finish().status());
  saved_ = Steady::now();
  cost_ = saved_ - begin;
  return OkStatus();
}

Result<bool> Checkpoint::Restore(NamedTensors parameters, Optimizer* optimizer,
                                 TrainingState* state) const {
  if (!PathExists(path_)) return false;
  const auto file = SafetensorsFile::Open(path_);
  if (!file.ok()) return false;
  const auto task = file->header().metadata.find(std::string(kTask));
  if (task == file->header().metadata.end() || task->second != task_) return false;
  TRIBUTARY_ASSIGN_OR_RETURN(const NamedTensors all, ReadTensors(*file));
  NamedTensors moments;
  for (const auto& [name, tensor] : all) {
    if (name.starts_with(kOptimizer)) moments[name.substr(std::strlen(kOptimizer))] = tensor;
  }
  for (const auto& [name, parameter] : parameters) {
    const auto it = all.find(kWeight + name);
    if (it == all.end() || it->second.sizes() != parameter.sizes()) return false;
  }
  const auto losses = all.find(kLosses);
  const auto numbers = all.find(kNumbers);
  if (losses == all.end() || numbers == all.end() || numbers->second.numel() != 3) return false;
  if (!optimizer->Restore(moments).ok()) return false;
  const at::NoGradGuard no_grad;
  for (auto& [name, parameter] : parameters) parameter.copy_(all.find(kWeight + name)->second);
  const auto* values = losses->second.data_ptr<double>();
  state->losses.assign(values, values + losses->second.numel());
  const auto* facts = numbers->second.data_ptr<double>();
  state->samples = static_cast<std::int64_t>(facts[0]);
  state->tokens = static_cast<std::int64_t>(facts[1]);
  state->learning_rate_sum = facts[2];
  return true;
}

Status Checkpoint::Remove() const { return RemoveFile(path_); }

}  // namespace tributary::trainer

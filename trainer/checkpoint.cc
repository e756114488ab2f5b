#include "trainer/checkpoint.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "core/files.h"
#include "core/safetensors.h"
#include "core/sha256.h"

namespace tributary::trainer {
namespace {

constexpr double kShare = 20;  // a save may take one part in so many
constexpr std::string_view kTask = "task";
constexpr std::string_view kDigest = "sha256";  // of all tensors, in the order of the file
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

std::string DigestOf(const NamedTensors& all) {
  Sha256 hash;
  for (const auto& [name, tensor] : all) {
    const at::Tensor whole = tensor.contiguous();
    hash.Update(name);
    hash.Update(whole.data_ptr(), whole.nbytes());
  }
  return hash.Finish().ToHex();
}

Result<NamedTensors> ReadTensors(const SafetensorsFile& file) {
  NamedTensors all;
  for (const SafetensorsEntry& entry : file.header().tensors) {
    const bool wide = entry.spec.dtype == DType::kF64;
    if (!wide && entry.spec.dtype != DType::kF32) {
      return DataLossError("it holds " + entry.spec.name + " as " +
                           std::string(DTypeName(entry.spec.dtype)));
    }
    at::Tensor tensor = at::empty(entry.spec.shape, wide ? at::kDouble : at::kFloat);
    std::memcpy(tensor.data_ptr(), file.Bytes(entry).data(), file.Bytes(entry).size());
    all[entry.spec.name] = tensor;
  }
  // Files of earlier versions have no digest.
  const auto digest = file.header().metadata.find(std::string(kDigest));
  if (digest != file.header().metadata.end() && digest->second != DigestOf(all)) {
    return DataLossError("its content is not what was written");
  }
  return all;
}

// The numbers under `name`; none where they are not there as they were written.
std::optional<std::vector<double>> Numbers(const NamedTensors& all, const char* name) {
  const auto it = all.find(name);
  if (it == all.end() || it->second.scalar_type() != at::kDouble) return std::nullopt;
  const auto* values = it->second.data_ptr<double>();
  return std::vector<double>(values, values + it->second.numel());
}

}  // namespace

Result<Checkpoint> Checkpoint::Open(const std::string& directory, const std::string& task,
                                    std::chrono::seconds every) {
  Checkpoint checkpoint;
  checkpoint.path_ = JoinPath(directory, kCheckpointFile);
  checkpoint.task_ = task;
  TRIBUTARY_ASSIGN_OR_RETURN(const double steps, PositiveVariable("TRIBUTARY_CHECKPOINT_STEPS", 0));
  TRIBUTARY_ASSIGN_OR_RETURN(
      const double seconds,
      PositiveVariable("TRIBUTARY_CHECKPOINT_SECONDS", static_cast<double>(every.count())));
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
  TRIBUTARY_ASSIGN_OR_RETURN(SafetensorsWriter writer,
                             SafetensorsWriter::Create(path_, std::move(manifest),
                                                       {{std::string(kTask), task_},
                                                        {std::string(kDigest), DigestOf(all)}}));
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

Status Checkpoint::Restore(NamedTensors parameters, Optimizer* optimizer,
                           TrainingState* state) const {
  if (!PathExists(path_)) return NotFoundError(path_ + " does not exist");
  TRIBUTARY_ASSIGN_OR_RETURN(const SafetensorsFile file, SafetensorsFile::Open(path_));
  const auto task = file.header().metadata.find(std::string(kTask));
  if (task == file.header().metadata.end() || task->second != task_) {
    return FailedPreconditionError(path_ + ": it is of other work");
  }
  TRIBUTARY_ASSIGN_OR_RETURN(const NamedTensors all, ReadTensors(file).Annotate(path_));
  NamedTensors moments;
  for (const auto& [name, tensor] : all) {
    if (name.starts_with(kOptimizer)) moments[name.substr(std::strlen(kOptimizer))] = tensor;
  }
  for (const auto& [name, parameter] : parameters) {
    const auto it = all.find(kWeight + name);
    if (it == all.end() || it->second.sizes() != parameter.sizes()) {
      return DataLossError(path_ + ": " + name + " is missing or has another shape");
    }
  }
  const auto losses = Numbers(all, kLosses);
  const auto facts = Numbers(all, kNumbers);
  if (!losses || !facts || facts->size() != 3) {
    return DataLossError(path_ + ": how far it came is missing");
  }
  TRIBUTARY_RETURN_IF_ERROR(optimizer->Restore(moments).Annotate(path_));
  const at::NoGradGuard no_grad;
  for (auto& [name, parameter] : parameters) parameter.copy_(all.find(kWeight + name)->second);
  state->losses = *losses;
  state->samples = static_cast<std::int64_t>((*facts)[0]);
  state->tokens = static_cast<std::int64_t>((*facts)[1]);
  state->learning_rate_sum = (*facts)[2];
  return OkStatus();
}

Status Checkpoint::Remove() const { return RemoveFile(path_); }

}  // namespace tributary::trainer

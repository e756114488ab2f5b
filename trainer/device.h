// Where a model is computed. Base weights are there; what is trained, its gradients and its
// optimizer stay on the CPU, and are sent over in each pass.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <string_view>

#include "core/status.h"
#include "core/task_contract.h"

namespace tributary::trainer {

// Where a model is computed, and the dtype of activations and of the products that make them.
// With bf16 what is trained stays in float (and is rounded for each pass), norms and softmax are
// float inside, and the loss is computed in float.
struct Compute {
  at::Device device = at::kCPU;
  std::optional<at::ScalarType> dtype = std::nullopt;  // none: that of the embedding, float

  // x there and in that dtype.
  at::Tensor Place(const at::Tensor& x) const;
};

// `precision`: "fp32" or "bf16".
Result<Compute> ChooseCompute(std::string_view device, std::string_view precision, int local_rank);

// "auto": a CUDA device where there is one, else the CPU; "cpu"; "cuda". Process
// `local_rank` of a node takes that device, modulo the node's devices. Failed precondition where
// LibTorch finds none: for cuda, and for auto in a job that was given some (TRIBUTARY_GPUS).
Result<at::Device> ChooseDevice(std::string_view name, int local_rank);

// "cuda", or "cpu, " and the processor's name where the system says it.
std::string DeviceName(const at::Device& device);

// The most memory that this process had in use on the host.
std::int64_t PeakMemory();

// What computed it and how much memory that took, where the daemon knows these keys of a result: it
// says TRIBUTARY_GPUS to its jobs, 0 too.
void NoteDevice(const at::Device& device, TaskResult* result);

// "cpu", or "cpu, 2 x cuda".
std::string DevicesText();

}  // namespace tributary::trainer

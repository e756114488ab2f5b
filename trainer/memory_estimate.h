// What a task will need at its peak, told before the model is loaded.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/peft_adapter.h"
#include "core/status.h"
#include "core/task_contract.h"

namespace tributary::trainer {

// Bytes. An estimate from shapes: what the layers keep for their gradients is counted, what the
// allocator wastes is not.
struct MemoryEstimate {
  std::uint64_t program = 0;  // LibTorch and its libraries
  std::uint64_t weights = 0;  // of the base model, whether mapped or converted
  std::uint64_t trained =
      0;  // the adapter with its gradients, the optimizer's state and what a strategy keeps
  std::uint64_t activations = 0;  // of one batch of the longest sequences
  std::uint64_t Total() const { return program + weights + trained + activations; }
  std::string Text() const;  // "about 1.2 GiB: 0.2 GiB program, ..."
};

// Base weights are taken to be in float. `threads` as the trainer resolved them. Training counts
// sequences of sequence_length tokens; evaluation, which cuts nothing, those of 256 tokens or the
// model's positions if they are fewer.
MemoryEstimate EstimateMemory(const TaskFile& task, const ModelShape& shape,
                              const AdapterConfig& adapter, const AdapterLayout& layout,
                              std::int64_t threads);

// Resource exhausted, with both numbers, when `available` is known and less than the estimate.
Status CheckMemory(const MemoryEstimate& estimate, std::optional<std::uint64_t> available);

// The estimate for the task in `directory`, from config.json and adapter_config.json, with base
// weights in the task's precision. Refuses
// training sequences that are longer than the model's learned positions.
Result<MemoryEstimate> EstimateTaskMemory(const std::string& directory, const TaskFile& task,
                                          std::int64_t threads);

}  // namespace tributary::trainer

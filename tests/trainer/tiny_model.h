// Models small enough to check by hand, and a task directory to train them in.
#pragma once

#include <string>
#include <vector>

#include "core/task_contract.h"
#include "trainer/adapter.h"
#include "trainer/dataset.h"
#include "trainer/language_model.h"
#include "trainer/model_config.h"
#include "trainer/weights.h"

namespace tributary::trainer {

// Two layers, grouped-query attention, a head dimension that is not hidden / heads, an untied head.
ModelConfig TinyConfig();

// The same size, with what sets that architecture apart: mistral a window of 3 tokens, qwen2
// biases, qwen3 norms of q and k, gpt2 learned positions, a tied head and its own layout.
ModelConfig TinyConfigOf(const std::string& model_type);

// Random weights large enough that every layer matters; norms near one.
NamedTensors TinyWeights(const ModelConfig& config, at::ScalarType dtype);

// A LoRA adapter on all linear modules with both factors random, and the matrices between them.
Adapter TinyLora(const ModelConfig& config, at::ScalarType dtype, double dropout = 0,
                 bool middle = false);

// Sequences of the given token ids; tokens from `loss_from` on carry loss.
PackedBatch TinyBatch(const std::vector<std::vector<std::int32_t>>& sequences,
                      std::int64_t loss_from = 1);

// DIRECTORY/model with a byte-level tokenizer, DIRECTORY/train.jsonl, DIRECTORY/global with a fresh
// adapter (B = 0). Aborts the test program on failure.
void WriteTinyTask(const std::string& directory, const TaskFile& task,
                   AdapterKind kind = AdapterKind::kLora);
TaskFile TinyTrainTask(const std::string& directory);

// Nobody stops the training.
inline bool Never() { return false; }

}  // namespace tributary::trainer

// Made-up tasks to try a trainer with: a tiny model with a byte-level tokenizer, data, an adapter
// that has learnt nothing yet. All of it from a seed.
#pragma once

#include <string>

#include "core/peft_adapter.h"
#include "core/status.h"
#include "core/task_contract.h"

namespace tributary::client {

// The size of a made-up Llama.
struct SampleModel {
  std::int64_t hidden = 32, intermediate = 64, layers = 2, heads = 4, kv_heads = 2;
  std::int64_t vocabulary = 258;  // at least; the tokenizer uses so many
  std::int64_t positions = 256;
};

// Writes a model directory with random weights and a tokenizer whose tokens are the bytes.
Status MakeModel(const std::string& directory, const SampleModel& size = {});

// What the tasks are about; a person may give a model and data of their own.
struct SampleMaterial {
  std::string model;  // Hugging Face style directory
  std::string data;   // JSONL
  AdapterConfig adapter;
  std::string weights;  // the adapter's tensors
};

// Makes what is missing of `model` and `data` in `directory`, and an adapter of `adapter` for the
// model.
Result<SampleMaterial> MakeMaterial(const std::string& directory, const std::string& model,
                                    const std::string& data, const AdapterConfig& adapter);

// A task of that material; the caller changes what its trial is about.
TaskFile SampleTask(const SampleMaterial& material, TaskKind kind);

// A task directory as the daemon stages it.
Status StageTask(const std::string& directory, const SampleMaterial& material,
                 const std::string& task_json);

}  // namespace tributary::client

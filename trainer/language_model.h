// What a decoder-only model is to the training loop. One class per architecture; model_directory.h
// picks by config.json.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include "trainer/key_value_cache.h"
#include "trainer/linear.h"

namespace tributary::trainer {

// Sequences one after another in rows, without padding: dense layers work on real tokens only.
struct PackedBatch {
  at::Tensor ids;                    // int64 [rows]
  std::vector<std::int64_t> starts;  // sequence s is rows starts[s] .. starts[s + 1] - 1
  at::Tensor loss_rows;              // int64 [n]: rows whose next token carries loss
  at::Tensor targets;                // int64 [n]: those next tokens
  std::int64_t examples = 0;
};

// What a forward pass is for.
struct ForwardPass {
  DropoutPass dropout;
  // Gradient checkpointing (layer_checkpoint.h). The batch must live until the gradient is made.
  bool recompute_layers = false;
  // For generation: the batch is one sequence's tokens behind those that the cache has seen, which
  // sees them too. Without gradients.
  KeyValueCache* cache = nullptr;

  // Tokens before the batch's first.
  std::int64_t Past() const { return cache != nullptr ? cache->length() : 0; }
};

// Weights are given at construction and shared with the caller; gradients flow to those that
// require them. Not thread-safe.
class LanguageModel {
 public:
  virtual ~LanguageModel() = default;
  // Hidden states after the last norm, [rows, hidden].
  virtual at::Tensor Hidden(const PackedBatch& batch, const ForwardPass& pass) const = 0;
  // What turns a hidden state into logits, [vocab, hidden]; may be F16 or BF16.
  virtual const at::Tensor& Head() const = 0;
  // The layer of that name ("model.layers.0.self_attn.q_proj"), or null. Owned by the model.
  virtual Linear* FindLinear(std::string_view name) = 0;
};

// Of the sequences of a batch, in tokens.
std::int64_t LongestSequence(const std::vector<std::int64_t>& starts);

// Sum of -log p over the tokens that carry loss; a scalar.
at::Tensor LossSum(const LanguageModel& model, const PackedBatch& batch,
                   const ForwardPass& pass = {});

// Of rows of Hidden: [rows, vocab].
at::Tensor LogitsOf(const LanguageModel& model, const at::Tensor& hidden);

// [rows, vocab].
at::Tensor Logits(const LanguageModel& model, const PackedBatch& batch);

}  // namespace tributary::trainer

// The names and shapes of a model's weights, from its config.json. Pure arithmetic; no LibTorch, so
// that the programs that never load a model can still tell what an adapter of it looks like.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "core/tensor.h"

namespace tributary {

class JsonObjectReader;

enum class ModuleKind : std::uint8_t { kLinear, kEmbedding, kNorm, kHead };

// A module that has weights: "<name>.weight", and "<name>.bias" [out] where `bias` says so.
struct ModelModule {
  std::string name;  // "model.layers.0.self_attn.q_proj"
  ModuleKind kind = ModuleKind::kLinear;
  std::int64_t out = 0;  // of an embedding: rows; of a norm: its width
  std::int64_t in = 0;   // a norm has none
  bool bias = false;
  bool transposed = false;  // the weight is [in, out], as GPT-2's Conv1D keeps it; else [out, in]

  std::vector<std::int64_t> WeightShape() const;
};

// Validated. Which of the flags an architecture may set is its own file's business
// (core/architecture.h).
struct ModelShape {
  std::string model_type = "llama";  // one of SupportedModelTypes()
  std::int64_t vocab_size = 0;
  std::int64_t hidden_size = 0;
  std::int64_t intermediate_size = 0;
  std::int64_t layers = 0;
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t positions = 0;    // rows of a learned position embedding; 0: there is none
  bool tied_embeddings = false;  // the head is the embedding
  bool qkv_bias = false;
  bool output_bias = false;  // of the projection after attention
  bool mlp_bias = false;
  bool qk_norm = false;  // an RMSNorm over each head of q and k

  static Result<ModelShape> FromConfigJson(std::string_view text);
  // The same, noting problems in the reader of config.json's object; the result is of use only
  // without any.
  static ModelShape Read(JsonObjectReader& config);

  // Every module with weights in the order of computation. The head is the last, also when it is
  // tied.
  std::vector<ModelModule> Modules() const;
  std::vector<ModelModule> LinearModules() const;  // without the head
  Manifest AllWeights() const;                     // F32, Hugging Face names, sorted by name
  // What files of the base model alone leave out of the names: "model.", "transformer.".
  std::string_view BasePrefix() const;
  std::string_view ClassName() const;  // of transformers: "LlamaForCausalLM"
};

// "gpt2, llama, mistral, qwen2, qwen3".
std::string SupportedModelTypes();

}  // namespace tributary

// Adapters as PEFT writes them: adapter_config.json, tensor names, and the manifest that a model and a LoRA configuration
// imply. Pure arithmetic on names and shapes; no LibTorch.
//
// A LoRA pair for module "model.layers.0.self_attn.q_proj" of shape (out, in) is
//   base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight  F32 [rank, in]
//   base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight  F32 [out, rank]
// With kind "full" the adapter is every weight of the model under its Hugging Face name.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/safetensors.h"
#include "core/status.h"
#include "core/tensor.h"

namespace tributary {

inline constexpr std::string_view kAdapterWeightsFile = "adapter_model.safetensors";
inline constexpr std::string_view kAdapterConfigFile = "adapter_config.json";

enum class AdapterKind : std::uint8_t { kLora, kFull };

struct AdapterConfig {
  AdapterKind kind = AdapterKind::kLora;
  std::int64_t rank = 8;
  double alpha = 16;
  double dropout = 0;
  std::vector<std::string> target_modules = {"q_proj", "v_proj"};  // last name component of a linear
  std::string base_model;  // "base_model_name_or_path", informative

  // W_eff = W + scale * B A
  double Scale() const { return alpha / static_cast<double>(rank); }

  // The text of adapter_config.json that stock PEFT loads (peft_type LORA, task_type CAUSAL_LM). For kFull: a small object
  // {"tributary_adapter": "full"}.
  std::string ToPeftJson() const;
  static Result<AdapterConfig> FromPeftJson(std::string_view text);
};

// One linear module of a model: y = W x, W of shape (out, in).
struct LinearModule {
  std::string name;  // "model.layers.0.self_attn.q_proj"
  std::int64_t out = 0;
  std::int64_t in = 0;
};

// The shape facts of a Llama-family config.json (model_type "llama"), validated.
struct LlamaShape {
  std::int64_t vocab_size = 0;
  std::int64_t hidden_size = 0;
  std::int64_t intermediate_size = 0;
  std::int64_t layers = 0;
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  bool tied_embeddings = false;

  static Result<LlamaShape> FromConfigJson(std::string_view text);
  std::vector<LinearModule> LinearModules() const;  // in layer order; lm_head excluded
  Manifest AllWeights() const;                      // F32, Hugging Face names, sorted by name
};

// The tensors of the adapter, sorted by name. Errors name target modules that match nothing and list those there are.
Result<Manifest> AdapterManifest(const AdapterConfig& adapter, const LlamaShape& model);

// PEFT's initialisation of a LoRA adapter: A uniform in +-1/sqrt(in) (Kaiming with a = sqrt 5), B zero, from our own
// generator keyed by (seed, tensor name), so every platform gets the same bits. F32.
std::vector<HostTensor> InitialLora(const Manifest& manifest, std::uint64_t seed);

std::string LoraName(std::string_view module, bool is_a);

}  // namespace tributary

// Adapters as PEFT writes them: adapter_config.json, tensor names, and the tensors that a model and
// a LoRA configuration imply. Pure arithmetic on names and shapes; no LibTorch.
//
// A LoRA pair for module "model.layers.0.self_attn.q_proj" of shape (out, in) is
//   base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight  F32 [rank, in]
//   base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight  F32 [out, rank]
// with a middle matrix (LoRA-SB, arXiv:2411.19557; not PEFT's) also
//   base_model.model.model.layers.0.self_attn.q_proj.lora_C.weight  F32 [rank, rank]
// and a module that is trained as a whole (modules_to_save)
//   base_model.model.lm_head.weight                                 F32, the shape of the model's
//   own
// With kind "full" the adapter is every weight of the model under its Hugging Face name.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/model_shape.h"
#include "core/safetensors.h"
#include "core/status.h"
#include "core/tensor.h"

namespace tributary {

inline constexpr std::string_view kAdapterWeightsFile = "adapter_model.safetensors";
inline constexpr std::string_view kAdapterConfigFile = "adapter_config.json";

enum class AdapterKind : std::uint8_t { kLora, kFull };

// Values for modules whose names match a regular expression; the first that matches counts. As in
// PEFT, the expression "q_proj" stands for "(.*\\.)?(q_proj)" and matches the whole name.
template <typename Value>
using ModuleValues = std::vector<std::pair<std::string, Value>>;

struct AdapterConfig {
  AdapterKind kind = AdapterKind::kLora;
  std::int64_t rank = 8;
  double alpha = 16;
  double dropout = 0;
  std::vector<std::string> target_modules = {
      "q_proj", "v_proj"};     // names of linear modules, or what they end with
  std::string target_pattern;  // instead of target_modules: a regular expression for whole names,
                               // or "all-linear"
  ModuleValues<std::int64_t> rank_pattern;
  ModuleValues<double> alpha_pattern;
  bool use_rslora = false;  // arXiv:2312.03732: the scale is alpha / sqrt(rank)
  std::vector<std::string>
      modules_to_save;  // what names of modules end with that are trained as a whole
  bool middle = false;  // W_eff = W + scale * B C A, C square
  bool fan_in_fan_out =
      false;  // PEFT's word that targets are Conv1D. Kept, not needed: the architecture says so
  std::string base_model;  // "base_model_name_or_path", informative

  // W_eff = W + scale * B A, where no pattern says otherwise.
  double Scale() const { return ScaleOf(rank, alpha); }
  double ScaleOf(std::int64_t module_rank, double module_alpha) const;
  bool HasPatterns() const { return !rank_pattern.empty() || !alpha_pattern.empty(); }
  // The same configuration and Scale() at another rank. Without patterns.
  AdapterConfig AtRank(std::int64_t other) const;

  // The text of adapter_config.json that stock PEFT loads (peft_type LORA, task_type CAUSAL_LM);
  // with middle matrices peft_type is LORA_SB, which PEFT does not know and refuses.
  // For kFull: a small object
  // {"tributary_adapter": "full"}.
  std::string ToPeftJson() const;
  // Names all options that are switched on and not supported. Unknown ones that are switched off
  // are fine.
  static Result<AdapterConfig> FromPeftJson(std::string_view text);
};

// What an adapter consists of.
struct AdapterLayout {
  struct LoraPair {
    ModelModule module;
    std::int64_t rank = 0;
    double scale = 0;
  };
  std::vector<LoraPair> pairs;     // in the order of the model's modules
  std::vector<ModelModule> saved;  // trained as a whole
};

// For kind full both lists are empty. Errors name targets that match nothing and list those there
// are.
Result<AdapterLayout> LayOutAdapter(const AdapterConfig& adapter, const ModelShape& model);

// The tensors of the adapter, F32, sorted by name.
Result<Manifest> AdapterManifest(const AdapterConfig& adapter, const ModelShape& model);

// PEFT's initialisation of a LoRA adapter: A uniform in +-1/sqrt(in) (Kaiming with a = sqrt 5), B
// zero, from our own generator keyed by (seed, tensor name), so every platform gets the same bits.
// With middle matrices these are zero, A uniform in +-sqrt(3/in) and B in +-sqrt(3/out): rows and
// columns that are orthonormal but for terms of order 1/sqrt(in), 1/sqrt(out). F32.
std::vector<HostTensor> InitialLora(const Manifest& manifest, std::uint64_t seed);

std::string LoraName(std::string_view module, bool is_a);
std::string MiddleName(std::string_view module);
// Of a tensor of a module that is trained as a whole, from its name in the model.
std::string SavedName(std::string_view weight);
// The weight of the model that an adapter's tensor starts from: its own name, that of the module it
// replaces, and for a tied head the embedding.
std::string WeightOfSaved(const ModelShape& model, std::string_view tensor);

}  // namespace tributary

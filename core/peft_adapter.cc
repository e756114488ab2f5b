#include "core/peft_adapter.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "core/json.h"
#include "core/random.h"

namespace tributary {
namespace {

using nlohmann::json;

constexpr std::string_view kPeftPrefix = "base_model.model.";
constexpr std::string_view kFullMarker = "tributary_adapter";

// Keys of adapter_config.json that say nothing about the mathematics of a plain LoRA.
const std::set<std::string, std::less<>>& InformativeKeys() {
  static const std::set<std::string, std::less<>> keys = {
      "auto_mapping", "inference_mode",    "init_lora_weights", "megatron_core",
      "peft_version", "qalora_group_size", "revision",          "runtime_config",
      "task_type",    "layers_pattern",    "arrow_config",      "ensure_weight_tying"};
  return keys;
}

// null, false, "", {} and [] leave an option of PEFT switched off.
bool IsOff(const json& value) {
  if (value.is_boolean()) return !value.get<bool>();
  if (value.is_string()) return value.get_ref<const std::string&>().empty();
  return value.is_null() || (value.is_structured() && value.empty());
}

// Present and not null: PEFT and transformers write null for what was not set.
bool HasValue(const json& object, std::string_view key) {
  const auto it = object.find(key);
  return it != object.end() && !it->is_null();
}

json AlphaToJson(double alpha) {
  const bool whole = alpha == std::floor(alpha) && std::abs(alpha) < 1e9;
  return whole ? json(static_cast<std::int64_t>(alpha)) : json(alpha);
}

std::string Join(const std::set<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

void SortByName(Manifest* manifest) {
  std::sort(manifest->begin(), manifest->end(),
            [](const TensorSpec& a, const TensorSpec& b) { return a.name < b.name; });
}

std::string LayerName(std::int64_t layer) { return "model.layers." + std::to_string(layer) + "."; }

// Uniform in [-bound, bound). Unit() makes 2u - 1 exact, so each value has one rounding in
// double and one to float, and no contraction to a fused multiply-add can change it.
void FillUniform(std::uint64_t key, double bound, std::vector<std::byte>* bytes) {
  SplitMix64 random(key);
  for (std::size_t at = 0; at < bytes->size(); at += sizeof(float)) {
    const auto value = static_cast<float>((2 * random.Unit() - 1) * bound);
    std::memcpy(bytes->data() + at, &value, sizeof value);
  }
}

}  // namespace

std::string LoraName(std::string_view module, bool is_a) {
  return std::string(kPeftPrefix) + std::string(module) +
         (is_a ? ".lora_A.weight" : ".lora_B.weight");
}

std::string AdapterConfig::ToPeftJson() const {
  if (kind == AdapterKind::kFull) {
    return json{{kFullMarker, "full"}, {"base_model_name_or_path", base_model}}.dump(
               2, ' ', false, json::error_handler_t::replace) +
           "\n";
  }
  const json object = {{"alpha_pattern", json::object()},
                       {"auto_mapping", nullptr},
                       {"base_model_name_or_path", base_model},
                       {"bias", "none"},
                       {"fan_in_fan_out", false},
                       {"inference_mode", true},
                       {"init_lora_weights", true},
                       {"layers_pattern", nullptr},
                       {"layers_to_transform", nullptr},
                       {"lora_alpha", AlphaToJson(alpha)},
                       {"lora_dropout", dropout},
                       {"modules_to_save", nullptr},
                       {"peft_type", "LORA"},
                       {"r", rank},
                       {"rank_pattern", json::object()},
                       {"revision", nullptr},
                       {"target_modules", target_modules},
                       // Nothing newer: PEFT refuses keys that its version does not know.
                       {"task_type", "CAUSAL_LM"}};
  return object.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

Result<AdapterConfig> AdapterConfig::FromPeftJson(std::string_view text) {
  TRIBUTARY_ASSIGN_OR_RETURN(const json object, ParseJson(text, kAdapterConfigFile));
  if (!object.is_object()) {
    return InvalidArgumentError(std::string(kAdapterConfigFile) + ": must be an object");
  }
  std::vector<std::string> problems;
  JsonObjectReader reader(object, std::string(kAdapterConfigFile), &problems);
  AdapterConfig config;
  if (HasValue(object, "base_model_name_or_path")) {
    config.base_model = reader.String("base_model_name_or_path");
  }

  if (reader.Has(kFullMarker)) {
    config.kind = AdapterKind::kFull;
    reader.String("base_model_name_or_path", "");
    if (const std::string marker = reader.String(kFullMarker); marker != "full") {
      reader.Problem(kFullMarker, "\"" + marker + "\" is unknown; known: full");
    }
    reader.RejectUnknown();
    TRIBUTARY_RETURN_IF_ERROR(ProblemsToStatus(problems));
    return config;
  }

  if (const std::string type = reader.String("peft_type"); type != "LORA") {
    reader.Problem("peft_type", "\"" + type + "\" is not supported; supported: LORA");
  }
  config.rank = reader.Int("r", 1, 65'536);
  config.alpha = reader.Number("lora_alpha");
  if (!(config.alpha > 0 && config.alpha < 1e6)) {
    reader.Problem("lora_alpha", "is out of range; must be above 0 and below 1000000");
  }
  config.dropout = reader.Number("lora_dropout", 0.0);
  if (!(config.dropout >= 0 && config.dropout < 1)) {
    reader.Problem("lora_dropout", "is out of range; must be at least 0 and below 1");
  }
  config.target_modules = reader.Strings("target_modules");
  if (config.target_modules.empty()) {
    reader.Problem("target_modules", "must be a list of at least one module name");
  }
  if (const std::string bias = reader.String("bias", "none"); bias != "none") {
    reader.Problem("bias", "\"" + bias + "\" is not supported; supported: none");
  }
  static const std::set<std::string, std::less<>> read_above = {
      "base_model_name_or_path", "peft_type", "r", "lora_alpha", "lora_dropout",
      "target_modules",          "bias"};
  for (const auto& [key, value] : object.items()) {
    if (!read_above.contains(key) && !InformativeKeys().contains(key) && !IsOff(value)) {
      reader.Problem(key, "is not supported; leave it out or switch it off");
    }
  }
  TRIBUTARY_RETURN_IF_ERROR(ProblemsToStatus(problems));
  return config;
}

Result<LlamaShape> LlamaShape::FromConfigJson(std::string_view text) {
  TRIBUTARY_ASSIGN_OR_RETURN(const json object, ParseJson(text, "config.json"));
  if (!object.is_object()) return InvalidArgumentError("config.json: must be an object");
  std::vector<std::string> problems;
  JsonObjectReader reader(object, "config.json", &problems);
  if (const std::string type = reader.String("model_type"); type != "llama") {
    reader.Problem("model_type", "\"" + type + "\" is not supported; supported: llama");
  }
  constexpr std::int64_t kMaxWidth = 1 << 20;
  LlamaShape shape;
  shape.vocab_size = reader.Int("vocab_size", 1, 1 << 24);
  shape.hidden_size = reader.Int("hidden_size", 1, kMaxWidth);
  shape.intermediate_size = reader.Int("intermediate_size", 1, kMaxWidth);
  shape.layers = reader.Int("num_hidden_layers", 1, 4096);
  shape.heads = reader.Int("num_attention_heads", 1, kMaxWidth);
  shape.kv_heads = HasValue(object, "num_key_value_heads")
                       ? reader.Int("num_key_value_heads", 1, kMaxWidth)
                       : shape.heads;
  if (HasValue(object, "head_dim")) {
    shape.head_dim = reader.Int("head_dim", 1, kMaxWidth);
  } else {
    if (shape.hidden_size % shape.heads != 0) {
      reader.Problem("num_attention_heads", std::to_string(shape.heads) +
                                                " does not divide hidden_size " +
                                                std::to_string(shape.hidden_size));
    }
    shape.head_dim = shape.hidden_size / shape.heads;
  }
  if (shape.head_dim % 2 != 0) {
    reader.Problem("head_dim",
                   std::to_string(shape.head_dim) + " is odd; rotary embeddings need an even one");
  }
  if (shape.heads % shape.kv_heads != 0) {
    reader.Problem("num_key_value_heads", std::to_string(shape.kv_heads) +
                                              " does not divide num_attention_heads " +
                                              std::to_string(shape.heads));
  }
  shape.tied_embeddings = reader.Bool("tie_word_embeddings", false);
  for (const std::string_view bias : {"attention_bias", "mlp_bias"}) {
    if (reader.Bool(bias, false)) reader.Problem(bias, "true is not supported; supported: false");
  }
  TRIBUTARY_RETURN_IF_ERROR(ProblemsToStatus(problems));
  return shape;
}

std::vector<LinearModule> LlamaShape::LinearModules() const {
  std::vector<LinearModule> modules;
  const std::int64_t q = heads * head_dim;
  const std::int64_t kv = kv_heads * head_dim;
  for (std::int64_t layer = 0; layer < layers; ++layer) {
    const std::string prefix = LayerName(layer);
    modules.push_back({prefix + "self_attn.q_proj", q, hidden_size});
    modules.push_back({prefix + "self_attn.k_proj", kv, hidden_size});
    modules.push_back({prefix + "self_attn.v_proj", kv, hidden_size});
    modules.push_back({prefix + "self_attn.o_proj", hidden_size, q});
    modules.push_back({prefix + "mlp.gate_proj", intermediate_size, hidden_size});
    modules.push_back({prefix + "mlp.up_proj", intermediate_size, hidden_size});
    modules.push_back({prefix + "mlp.down_proj", hidden_size, intermediate_size});
  }
  return modules;
}

Manifest LlamaShape::AllWeights() const {
  Manifest manifest;
  const auto add = [&manifest](std::string name, std::vector<std::int64_t> dims) {
    manifest.push_back({std::move(name), DType::kF32, std::move(dims)});
  };
  add("model.embed_tokens.weight", {vocab_size, hidden_size});
  add("model.norm.weight", {hidden_size});
  if (!tied_embeddings) add("lm_head.weight", {vocab_size, hidden_size});
  for (std::int64_t layer = 0; layer < layers; ++layer) {
    add(LayerName(layer) + "input_layernorm.weight", {hidden_size});
    add(LayerName(layer) + "post_attention_layernorm.weight", {hidden_size});
  }
  for (const LinearModule& module : LinearModules()) {
    add(module.name + ".weight", {module.out, module.in});
  }
  SortByName(&manifest);
  return manifest;
}

Result<Manifest> AdapterManifest(const AdapterConfig& adapter, const LlamaShape& model) {
  if (adapter.kind == AdapterKind::kFull) return model.AllWeights();
  std::set<std::string> known;
  std::set<std::string> unmatched(adapter.target_modules.begin(), adapter.target_modules.end());
  const std::set<std::string> targets = unmatched;
  Manifest manifest;
  for (const LinearModule& module : model.LinearModules()) {
    const std::string last = module.name.substr(module.name.rfind('.') + 1);
    known.insert(last);
    if (!targets.contains(last)) continue;
    unmatched.erase(last);
    manifest.push_back({LoraName(module.name, true), DType::kF32, {adapter.rank, module.in}});
    manifest.push_back({LoraName(module.name, false), DType::kF32, {module.out, adapter.rank}});
  }
  if (!unmatched.empty()) {
    return InvalidArgumentError("target_modules: no such module: " + Join(unmatched) +
                                "; the model has " + Join(known));
  }
  if (manifest.empty()) {
    return InvalidArgumentError("target_modules: is empty; the model has " + Join(known));
  }
  SortByName(&manifest);
  return manifest;
}

std::vector<HostTensor> InitialLora(const Manifest& manifest, std::uint64_t seed) {
  std::vector<HostTensor> tensors;
  tensors.reserve(manifest.size());
  for (const TensorSpec& spec : manifest) {
    HostTensor tensor{spec, std::vector<std::byte>(spec.ByteCount())};
    if (spec.name.ends_with(".lora_A.weight") && spec.shape.size() == 2) {
      FillUniform(DeriveSeed(seed, HashName(spec.name)),
                  1 / std::sqrt(static_cast<double>(spec.shape[1])), &tensor.bytes);
    }
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

}  // namespace tributary

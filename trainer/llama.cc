#include "trainer/llama.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/random.h"
#include "trainer/kernels.h"

namespace tributary::trainer {
namespace {

using at::Tensor;

// Checks the names and shapes that the model needs; more tensors are fine.
Status CheckWeights(const Manifest& needed, const NamedTensors& weights) {
  Manifest present;
  for (const TensorSpec& spec : needed) {
    const auto it = weights.find(spec.name);
    if (it != weights.end()) present.push_back({spec.name, DType::kF32, it->second.sizes().vec()});
  }
  return CheckManifest(needed, present);
}

std::int64_t LongestSequence(const std::vector<std::int64_t>& starts) {
  std::int64_t longest = 0;
  for (std::size_t s = 1; s < starts.size(); ++s) {
    longest = std::max(longest, starts[s] - starts[s - 1]);
  }
  return longest;
}

// Normal deviates by Box and Muller, from the generator of core/random.h.
void FillNormal(Tensor* tensor, double deviation, std::uint64_t seed) {
  SplitMix64 random(seed);
  auto* out = tensor->data_ptr<float>();
  for (std::int64_t i = 0; i < tensor->numel(); ++i) {
    const double radius = std::sqrt(-2 * std::log(1 - random.Unit()));
    const double angle = 2 * std::numbers::pi * random.Unit();
    out[i] = static_cast<float>(deviation * radius * std::cos(angle));
  }
}

}  // namespace

Result<std::unique_ptr<LanguageModel>> Llama::Create(const ModelConfig& config,
                                                     const NamedTensors& weights) {
  TRIBUTARY_RETURN_IF_ERROR(CheckWeights(config.shape.AllWeights(), weights));
  const auto get = [&weights](const std::string& name) {
    return weights.find(name + ".weight")->second;
  };
  std::unique_ptr<Llama> model(new Llama());
  model->config_ = config;
  model->embedding_ = get("model.embed_tokens");
  model->norm_ = get("model.norm");
  model->head_ = config.shape.tied_embeddings ? model->embedding_ : get("lm_head");
  for (std::int64_t i = 0; i < config.shape.layers; ++i) {
    const std::string prefix = "model.layers." + std::to_string(i) + ".";
    Layer& layer = model->layers_.emplace_back();
    layer.input_norm = get(prefix + "input_layernorm");
    layer.post_attention_norm = get(prefix + "post_attention_layernorm");
  }
  for (const LinearModule& module : config.shape.LinearModules()) {
    Linear* linear = model->FindLinear(module.name);
    linear->weight = get(module.name);
    linear->lora_key = HashName(module.name);
  }
  return std::unique_ptr<LanguageModel>(std::move(model));
}

Linear* Llama::FindLinear(std::string_view name) {
  constexpr std::string_view kPrefix = "model.layers.";
  if (!name.starts_with(kPrefix)) return nullptr;
  name.remove_prefix(kPrefix.size());
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const std::string number = std::to_string(i) + ".";
    if (!name.starts_with(number)) continue;
    const std::string_view rest = name.substr(number.size());
    Layer& layer = layers_[i];
    const std::map<std::string_view, Linear*> linears = {
        {"self_attn.q_proj", &layer.q}, {"self_attn.k_proj", &layer.k},
        {"self_attn.v_proj", &layer.v}, {"self_attn.o_proj", &layer.o},
        {"mlp.gate_proj", &layer.gate}, {"mlp.up_proj", &layer.up},
        {"mlp.down_proj", &layer.down}};
    const auto it = linears.find(rest);
    return it == linears.end() ? nullptr : it->second;
  }
  return nullptr;
}

Tensor Llama::Attention(const Layer& layer, const Tensor& x, const PackedBatch& batch,
                        const RotaryTable& rotary, const DropoutPass& dropout) const {
  const LlamaShape& shape = config_.shape;
  const Tensor mixed = CausalAttention(layer.q.Forward(x, dropout), layer.k.Forward(x, dropout),
                                       layer.v.Forward(x, dropout), rotary, batch.starts,
                                       AttentionShape{shape.heads, shape.kv_heads, shape.head_dim});
  return layer.o.Forward(mixed, dropout);
}

Tensor Llama::Mlp(const Layer& layer, const Tensor& x, const DropoutPass& dropout) const {
  return layer.down.Forward(SwiGlu(layer.gate.Forward(x, dropout), layer.up.Forward(x, dropout)),
                            dropout);
}

Tensor Llama::Hidden(const PackedBatch& batch, const DropoutPass& dropout) const {
  const RotaryTable rotary = MakeRotaryTable(LongestSequence(batch.starts), config_.shape.head_dim,
                                             config_.rope_theta, embedding_.scalar_type());
  Tensor x = at::embedding(embedding_, batch.ids);
  for (const Layer& layer : layers_) {
    const Tensor normed = RmsNorm(x, layer.input_norm, config_.rms_norm_eps);
    // The sum lands in the new tensor: what the norm saved of x stays untouched.
    x = Attention(layer, normed, batch, rotary, dropout).add_(x);
    const Tensor middle = RmsNorm(x, layer.post_attention_norm, config_.rms_norm_eps);
    x = Mlp(layer, middle, dropout).add_(x);
  }
  return RmsNorm(x, norm_, config_.rms_norm_eps);
}

Tensor LossSum(const LanguageModel& model, const PackedBatch& batch, const DropoutPass& dropout) {
  const Tensor hidden = model.Hidden(batch, dropout);
  return LinearCrossEntropy(hidden.index_select(0, batch.loss_rows), model.Head(), batch.targets);
}

Tensor Logits(const LanguageModel& model, const PackedBatch& batch) {
  return at::linear(model.Hidden(batch, {}), model.Head());
}

NamedTensors FreshLlamaWeights(const LlamaShape& shape, std::uint64_t seed) {
  NamedTensors weights;
  for (const TensorSpec& spec : shape.AllWeights()) {
    Tensor tensor = at::ones(spec.shape, at::kFloat);
    if (spec.shape.size() > 1) FillNormal(&tensor, 0.02, DeriveSeed(seed, HashName(spec.name)));
    weights[spec.name] = tensor;
  }
  return weights;
}

}  // namespace tributary::trainer

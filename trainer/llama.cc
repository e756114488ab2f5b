#include "trainer/llama.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/random.h"
#include "trainer/frozen_matrix.h"
#include "trainer/kernels.h"
#include "trainer/layer_checkpoint.h"
#include "trainer/plain_kernels.h"

namespace tributary::trainer {
namespace {

using at::Tensor;

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
                                                     const NamedTensors& weights,
                                                     const Compute& compute) {
  const ModelShape& shape = config.shape;
  TRIBUTARY_RETURN_IF_ERROR(CheckModelWeights(shape, weights));
  const auto get = [&weights](const std::string& name) {
    const auto it = weights.find(name + ".weight");
    return it == weights.end() ? Tensor() : it->second;
  };
  std::unique_ptr<Llama> model(new Llama(LinearLayers(shape, weights)));
  model->config_ = config;
  model->compute_ = compute;
  model->frequencies_ = RotaryFrequencies(shape.head_dim, config.rope_theta, config.rope_scaling);
  model->embedding_ = get("model.embed_tokens");
  model->norm_ = get("model.norm");
  model->head_ = get("lm_head");
  if (!model->head_.defined()) model->head_ = model->embedding_;
  for (std::int64_t i = 0; i < shape.layers; ++i) {
    const std::string prefix = "model.layers." + std::to_string(i) + ".";
    const auto linear = [&](const char* name) { return model->linears_.At(prefix + name); };
    Layer& layer = model->layers_.emplace_back();
    layer.input_norm = get(prefix + "input_layernorm");
    layer.post_attention_norm = get(prefix + "post_attention_layernorm");
    layer.q = linear("self_attn.q_proj");
    layer.k = linear("self_attn.k_proj");
    layer.v = linear("self_attn.v_proj");
    layer.o = linear("self_attn.o_proj");
    layer.gate = linear("mlp.gate_proj");
    layer.up = linear("mlp.up_proj");
    layer.down = linear("mlp.down_proj");
    if (shape.qk_norm) {
      layer.q_norm = get(prefix + "self_attn.q_norm");
      layer.k_norm = get(prefix + "self_attn.k_norm");
    }
    layer.window = config.Window(i);
    layer.index = i;
  }
  return std::unique_ptr<LanguageModel>(std::move(model));
}

Tensor Llama::NormHeads(const Tensor& x, const Tensor& norm) const {
  if (!norm.defined()) return x;
  return RmsNorm(x.view({-1, config_.shape.head_dim}), norm, config_.norm_eps).view(x.sizes());
}

Tensor Llama::Attention(const Layer& layer, const Tensor& x, const PackedBatch& batch,
                        const RotaryTable& rotary, const ForwardPass& pass) const {
  const Tensor q = NormHeads(layer.q->Forward(x, pass.dropout), layer.q_norm);
  const Tensor k = NormHeads(layer.k->Forward(x, pass.dropout), layer.k_norm);
  const Tensor v = layer.v->Forward(x, pass.dropout);
  const AttentionShape shape{config_.shape.heads, config_.shape.kv_heads, config_.shape.head_dim,
                             layer.window};
  const Tensor mixed = pass.cache != nullptr
                           ? CachedAttention(q, k, v, rotary, shape, layer.index, pass.cache)
                           : CausalAttention(q, k, v, rotary, batch.starts, shape);
  return layer.o->Forward(mixed, pass.dropout);
}

Tensor Llama::Mlp(const Layer& layer, const Tensor& x, const DropoutPass& dropout) const {
  return layer.down->Forward(SwiGlu(layer.gate->Forward(x, dropout), layer.up->Forward(x, dropout)),
                             dropout);
}

Tensor Llama::Block(const Layer& layer, const Tensor& input, const PackedBatch& batch,
                    const RotaryTable& rotary, const ForwardPass& pass) const {
  const Tensor normed = RmsNorm(input, layer.input_norm, config_.norm_eps);
  // The sum lands in the new tensor: what the norm saved of its input stays untouched.
  const Tensor x = Attention(layer, normed, batch, rotary, pass).add_(input);
  const Tensor middle = RmsNorm(x, layer.post_attention_norm, config_.norm_eps);
  return Mlp(layer, middle, pass.dropout).add_(x);
}

Tensor Llama::Hidden(const PackedBatch& batch, const ForwardPass& pass) const {
  Tensor x = compute_.Place(TableRows(embedding_, batch.ids));
  const RotaryTable rotary =
      MakeRotaryTable(pass.Past(), LongestSequence(batch.starts), frequencies_, WideType(x));
  for (const Layer& layer : layers_) {
    x = RunLayer(x, pass.recompute_layers, [&, rotary, pass](const Tensor& in) {
      return Block(layer, in, batch, rotary, pass);
    });
  }
  return RmsNorm(x, norm_, config_.norm_eps);
}

NamedTensors FreshLlamaWeights(const ModelShape& shape, std::uint64_t seed) {
  NamedTensors weights;
  for (const TensorSpec& spec : shape.AllWeights()) {
    Tensor tensor = at::ones(spec.shape, at::kFloat);
    if (spec.shape.size() > 1) FillNormal(&tensor, 0.02, DeriveSeed(seed, HashName(spec.name)));
    weights[spec.name] = tensor;
  }
  return weights;
}

}  // namespace tributary::trainer

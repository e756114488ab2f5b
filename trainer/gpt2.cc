#include "trainer/gpt2.h"

#include <ATen/ATen.h>

#include <string>

#include "trainer/attention.h"
#include "trainer/frozen_matrix.h"
#include "trainer/layer_checkpoint.h"
#include "trainer/plain_kernels.h"

namespace tributary::trainer {

using at::Tensor;

Result<std::unique_ptr<LanguageModel>> Gpt2::Create(const ModelConfig& config,
                                                    const NamedTensors& weights,
                                                    const Compute& compute) {
  TRIBUTARY_RETURN_IF_ERROR(CheckModelWeights(config.shape, weights));
  const auto get = [&weights](const std::string& name) {
    const auto it = weights.find(name);
    return it == weights.end() ? Tensor() : it->second;
  };
  const auto norm = [&get](const std::string& name) {
    return Norm{get(name + ".weight"), get(name + ".bias")};
  };
  std::unique_ptr<Gpt2> model(new Gpt2(LinearLayers(config.shape, weights)));
  model->config_ = config;
  model->compute_ = compute;
  model->embedding_ = get("transformer.wte.weight");
  model->position_embedding_ = get("transformer.wpe.weight");
  model->norm_ = norm("transformer.ln_f");
  model->head_ = get("lm_head.weight");
  if (!model->head_.defined()) model->head_ = model->embedding_;
  for (std::int64_t i = 0; i < config.shape.layers; ++i) {
    const std::string prefix = "transformer.h." + std::to_string(i) + ".";
    const LinearLayers& linears = model->linears_;
    model->layers_.push_back({norm(prefix + "ln_1"), norm(prefix + "ln_2"),
                              linears.At(prefix + "attn.c_attn"),
                              linears.At(prefix + "attn.c_proj"), linears.At(prefix + "mlp.c_fc"),
                              linears.At(prefix + "mlp.c_proj"), i});
  }
  return std::unique_ptr<LanguageModel>(std::move(model));
}

Tensor Gpt2::Normed(const Tensor& x, const Norm& norm) const {
  return at::layer_norm(x, {config_.shape.hidden_size}, Beside(x, norm.weight),
                        Beside(x, norm.bias), config_.norm_eps);
}

Tensor Gpt2::Attention(const Layer& layer, const Tensor& x, const PackedBatch& batch,
                       const ForwardPass& pass) const {
  const std::int64_t width = config_.shape.hidden_size;
  const Tensor qkv = layer.qkv->Forward(x, pass.dropout);
  const auto part = [&](std::int64_t i) {
    return qkv.slice(1, i * width, (i + 1) * width).contiguous();
  };
  const AttentionShape shape{config_.shape.heads, config_.shape.heads, config_.shape.head_dim, 0};
  const Tensor mixed =
      pass.cache != nullptr
          ? CachedAttention(part(0), part(1), part(2), {}, shape, layer.index, pass.cache)
          : CausalAttention(part(0), part(1), part(2), {}, batch.starts, shape);
  return layer.out->Forward(mixed, pass.dropout);
}

Tensor Gpt2::Block(const Layer& layer, const Tensor& input, const PackedBatch& batch,
                   const ForwardPass& pass) const {
  const Tensor normed = Normed(input, layer.attention_norm);
  const Tensor x = Attention(layer, normed, batch, pass).add_(input);
  const Tensor up = layer.up->Forward(Normed(x, layer.mlp_norm), pass.dropout);
  return layer.down->Forward(at::gelu(up, "tanh"), pass.dropout).add_(x);
}

Tensor Gpt2::Hidden(const PackedBatch& batch, const ForwardPass& pass) const {
  // Each by itself: one that is trained may be elsewhere.
  Tensor x = compute_.Place(TableRows(embedding_, batch.ids)) +
             compute_.Place(TableRows(position_embedding_, Positions(batch.starts) + pass.Past()));
  for (const Layer& layer : layers_) {
    x = RunLayer(x, pass.recompute_layers,
                 [&, pass](const Tensor& in) { return Block(layer, in, batch, pass); });
  }
  return Normed(x, norm_);
}

}  // namespace tributary::trainer

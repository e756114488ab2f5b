// The Llama family (llama, mistral, qwen2, qwen3): RMSNorm, rotary embeddings, grouped-query
// attention with or without a sliding window, SwiGLU, tied or untied head; biases and norms of q
// and k where the shape says so.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/status.h"
#include "trainer/attention.h"
#include "trainer/device.h"
#include "trainer/language_model.h"
#include "trainer/linear_layers.h"
#include "trainer/model_config.h"
#include "trainer/weights.h"

namespace tributary::trainer {

class Llama final : public LanguageModel {
 public:
  // `weights` under Hugging Face names, shapes as ModelConfig says, all of one dtype (float or
  // double); matrices that are not trained may be narrower (base_weights.h). A tied model with
  // "lm_head.weight" among its weights has that for a head. Extra tensors that some exporters add
  // (rotary inv_freq) are ignored.
  // It is computed as `compute` says; weights that are elsewhere are sent there in each pass.
  static Result<std::unique_ptr<LanguageModel>> Create(const ModelConfig& config,
                                                       const NamedTensors& weights,
                                                       const Compute& compute = {});

  at::Tensor Hidden(const PackedBatch& batch, const ForwardPass& pass) const override;
  const at::Tensor& Head() const override { return head_; }
  Linear* FindLinear(std::string_view name) override { return linears_.Find(name); }

 private:
  struct Layer {
    at::Tensor input_norm;
    at::Tensor post_attention_norm;
    at::Tensor q_norm, k_norm;  // undefined without
    const Linear *q, *k, *v, *o, *gate, *up, *down;
    std::int64_t window = 0;
    std::int64_t index = 0;
  };

  explicit Llama(LinearLayers linears) : linears_(std::move(linears)) {}
  // An RMSNorm over each head; x itself without a norm.
  at::Tensor NormHeads(const at::Tensor& x, const at::Tensor& norm) const;
  at::Tensor Attention(const Layer& layer, const at::Tensor& x, const PackedBatch& batch,
                       const RotaryTable& rotary, const ForwardPass& pass) const;
  at::Tensor Block(const Layer& layer, const at::Tensor& input, const PackedBatch& batch,
                   const RotaryTable& rotary, const ForwardPass& pass) const;
  at::Tensor Mlp(const Layer& layer, const at::Tensor& x, const DropoutPass& dropout) const;

  LinearLayers linears_;
  ModelConfig config_;
  Compute compute_;
  std::vector<double> frequencies_;
  at::Tensor embedding_;
  at::Tensor norm_;
  at::Tensor head_;
  std::vector<Layer> layers_;
};

// Fresh weights as transformers initialises them: normal with deviation 0.02, norms one. From our
// own seeded generator.
NamedTensors FreshLlamaWeights(const ModelShape& shape, std::uint64_t seed);

}  // namespace tributary::trainer

// GPT-2: learned positions, LayerNorm, one projection for q, k and v, an MLP with the tanh form of
// GELU, biases everywhere, tied or untied head.
#pragma once

#include <memory>
#include <vector>

#include "core/status.h"
#include "trainer/device.h"
#include "trainer/language_model.h"
#include "trainer/linear_layers.h"
#include "trainer/model_config.h"
#include "trainer/weights.h"

namespace tributary::trainer {

class Gpt2 final : public LanguageModel {
 public:
  // As Llama::Create.
  static Result<std::unique_ptr<LanguageModel>> Create(const ModelConfig& config,
                                                       const NamedTensors& weights,
                                                       const Compute& compute = {});

  // No sequence may be longer than config.shape.positions.
  at::Tensor Hidden(const PackedBatch& batch, const ForwardPass& pass) const override;
  const at::Tensor& Head() const override { return head_; }
  Linear* FindLinear(std::string_view name) override { return linears_.Find(name); }

 private:
  struct Norm {
    at::Tensor weight;
    at::Tensor bias;
  };
  struct Layer {
    Norm attention_norm, mlp_norm;
    const Linear *qkv, *out, *up, *down;
    std::int64_t index;
  };

  explicit Gpt2(LinearLayers linears) : linears_(std::move(linears)) {}
  at::Tensor Normed(const at::Tensor& x, const Norm& norm) const;
  at::Tensor Attention(const Layer& layer, const at::Tensor& x, const PackedBatch& batch,
                       const ForwardPass& pass) const;
  at::Tensor Block(const Layer& layer, const at::Tensor& input, const PackedBatch& batch,
                   const ForwardPass& pass) const;

  LinearLayers linears_;
  ModelConfig config_;
  Compute compute_;
  at::Tensor embedding_;
  at::Tensor position_embedding_;
  at::Tensor head_;
  Norm norm_;
  std::vector<Layer> layers_;
};

}  // namespace tributary::trainer

// The Llama family: RMSNorm, rotary embeddings, grouped-query attention, SwiGLU, tied or untied
// head.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/status.h"
#include "trainer/attention.h"
#include "trainer/language_model.h"
#include "trainer/model_config.h"
#include "trainer/weights.h"

namespace tributary::trainer {

class Llama final : public LanguageModel {
 public:
  // `weights` under Hugging Face names, all of one dtype (float or double), shapes as ModelConfig
  // says. Extra tensors that some exporters add (rotary inv_freq, a tied lm_head) are ignored.
  static Result<std::unique_ptr<LanguageModel>> Create(const ModelConfig& config,
                                                       const NamedTensors& weights);

  at::Tensor Hidden(const PackedBatch& batch, const DropoutPass& dropout) const override;
  const at::Tensor& Head() const override { return head_; }
  Linear* FindLinear(std::string_view name) override;

 private:
  struct Layer {
    at::Tensor input_norm;
    at::Tensor post_attention_norm;
    Linear q, k, v, o, gate, up, down;
  };

  Llama() = default;
  at::Tensor Attention(const Layer& layer, const at::Tensor& x, const PackedBatch& batch,
                       const RotaryTable& rotary, const DropoutPass& dropout) const;
  at::Tensor Mlp(const Layer& layer, const at::Tensor& x, const DropoutPass& dropout) const;

  ModelConfig config_;
  at::Tensor embedding_;
  at::Tensor norm_;
  at::Tensor head_;
  std::vector<Layer> layers_;
};

// Fresh weights as transformers initialises them: normal with deviation 0.02, norms one. From our
// own seeded generator.
NamedTensors FreshLlamaWeights(const LlamaShape& shape, std::uint64_t seed);

}  // namespace tributary::trainer

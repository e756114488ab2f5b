#include "trainer/gpt2.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "tests/trainer/tiny_model.h"

namespace tributary::trainer {
namespace {

using at::Tensor;

// The equations of GPT-2 for one sequence, operation by operation.
class PlainGpt2 {
 public:
  PlainGpt2(const ModelConfig& config, const NamedTensors& weights)
      : config_(config), weights_(weights) {}

  Tensor Run(const Tensor& ids) const {
    const Tensor table = Get("wte.weight");
    Tensor x = table.index_select(0, ids) + Get("wpe.weight").slice(0, 0, ids.size(0));
    for (std::int64_t i = 0; i < config_.shape.layers; ++i) {
      const std::string name = "h." + std::to_string(i) + ".";
      x = x +
          Conv(name + "attn.c_proj", Attention(Conv(name + "attn.c_attn", Norm(name + "ln_1", x))));
      x = x + Conv(name + "mlp.c_proj", Gelu(Conv(name + "mlp.c_fc", Norm(name + "ln_2", x))));
    }
    return at::mm(Norm("ln_f", x), table.t());
  }

 private:
  Tensor Get(const std::string& name) const { return weights_.at("transformer." + name); }

  Tensor Conv(const std::string& name, const Tensor& x) const {
    return at::mm(x, Get(name + ".weight")) + Get(name + ".bias");
  }

  Tensor Norm(const std::string& name, const Tensor& x) const {
    const Tensor centred = x - x.mean(1, true);
    const Tensor variance = centred.square().mean(1, true);
    return centred / (variance + config_.norm_eps).sqrt() * Get(name + ".weight") +
           Get(name + ".bias");
  }

  static Tensor Gelu(const Tensor& x) {
    return 0.5 * x * (1 + at::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x.pow(3))));
  }

  Tensor Attention(const Tensor& qkv) const {
    const std::int64_t dim = config_.shape.head_dim;
    const std::int64_t hidden = config_.shape.hidden_size;
    const Tensor future = at::ones({qkv.size(0), qkv.size(0)}).triu(1).to(at::kBool);
    std::vector<Tensor> heads;
    for (std::int64_t at = 0; at < hidden; at += dim) {
      const auto part = [&](std::int64_t which) {
        return qkv.slice(1, which * hidden + at, which * hidden + at + dim);
      };
      const Tensor scores = at::mm(part(0), part(1).t()) / std::sqrt(static_cast<double>(dim));
      heads.push_back(at::mm(scores.masked_fill(future, -INFINITY).softmax(1), part(2)));
    }
    return at::cat(heads, 1);
  }

  const ModelConfig& config_;
  const NamedTensors& weights_;
};

TEST(Gpt2Test, LogitsEqualThePlainEquations) {
  const ModelConfig config = TinyConfigOf("gpt2");
  const NamedTensors weights = TinyWeights(config, at::kDouble);
  const auto model = Gpt2::Create(config, weights);
  ASSERT_TRUE(model.ok()) << model.status();
  const PackedBatch batch = TinyBatch({{0, 5, 7, 2, 9, 1}, {0, 12, 3, 1}});
  const Tensor logits = Logits(**model, batch);
  const PlainGpt2 plain(config, weights);
  for (std::size_t s = 1; s < batch.starts.size(); ++s) {
    const auto rows = [&](const Tensor& all) {
      return all.slice(0, batch.starts[s - 1], batch.starts[s]);
    };
    EXPECT_TRUE(at::allclose(rows(logits), plain.Run(rows(batch.ids)), 1e-9, 1e-9));
  }
}

TEST(Gpt2Test, NamesMissingWeights) {
  const ModelConfig config = TinyConfigOf("gpt2");
  NamedTensors weights = TinyWeights(config, at::kFloat);
  weights.erase("transformer.h.1.attn.c_attn.bias");
  EXPECT_THAT(Gpt2::Create(config, weights).status().message(),
              testing::HasSubstr("transformer.h.1.attn.c_attn.bias"));
}

}  // namespace
}  // namespace tributary::trainer

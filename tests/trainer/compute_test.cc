// Activations in bf16: what comes out, against float, and what learns.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/trainer/tiny_model.h"
#include "trainer/device.h"
#include "trainer/frozen_matrix.h"
#include "trainer/linear_layers.h"
#include "trainer/model_directory.h"

namespace tributary::trainer {
namespace {

const Compute kBf16{at::kCPU, at::kBFloat16};

// The loss of a small batch and the gradients of what is trained.
struct LossAndGradients {
  double loss = 0;
  NamedTensors gradients;
};

LossAndGradients Learn(const ModelConfig& config, NamedTensors base, Adapter adapter, bool full,
                       const ForwardPass& pass, const Compute& compute) {
  NamedTensors trained = RequireGradients(full ? &base : &adapter.tensors);
  const auto model = *CreateModel(config, base, compute);
  if (!full) AttachLora(adapter, model.get());
  const PackedBatch batch = TinyBatch({{0, 5, 7, 2, 9, 1}, {3, 3, 8, 4}});
  const at::Tensor loss = LossSum(*model, batch, pass);
  EXPECT_EQ(loss.scalar_type(), at::kFloat);
  loss.backward();
  LossAndGradients outcome{loss.item<double>(), {}};
  for (const auto& [name, tensor] : trained) outcome.gradients[name] = tensor.grad().clone();
  return outcome;
}

// In norm; single values may be rounding errors of zero.
double Distance(const NamedTensors& one, const NamedTensors& other) {
  double difference = 0;
  double size = 0;
  for (const auto& [name, tensor] : one) {
    difference += (tensor - other.at(name)).square().sum().item<double>();
    size += tensor.square().sum().item<double>();
  }
  return std::sqrt(difference / size);
}

class ComputeTest : public testing::TestWithParam<const char*> {
 protected:
  const ModelConfig config_ = TinyConfigOf(GetParam());
  const NamedTensors base_ = TinyWeights(config_, at::kFloat);
};

// bf16 has eight binary digits: 0.4 % for each rounding, of which every LibTorch makes others.
TEST_P(ComputeTest, LossAndGradientsAreThoseOfFloatUpToRounding) {
  for (const bool full : {false, true}) {
    SCOPED_TRACE(full);
    // Gradients are left in the tensors: each pass has its own.
    const auto learn = [&](const Compute& compute) {
      NamedTensors base;
      for (const auto& [name, tensor] : base_) base[name] = tensor.clone();
      return Learn(config_, base, TinyLora(config_, at::kFloat), full, {}, compute);
    };
    const LossAndGradients exact = learn({});
    const LossAndGradients rounded = learn(kBf16);
    EXPECT_NE(rounded.loss, exact.loss);
    EXPECT_NEAR(rounded.loss, exact.loss, 0.02 * exact.loss);
    EXPECT_LT(Distance(exact.gradients, rounded.gradients), 0.15);
    for (const auto& [name, gradient] : rounded.gradients) {
      EXPECT_EQ(gradient.scalar_type(), at::kFloat) << name;
    }
  }
}

TEST_P(ComputeTest, RecomputedLayersGiveTheSameBits) {
  const LossAndGradients kept =
      Learn(config_, base_, TinyLora(config_, at::kFloat, 0.1), false, {{true, 7}, false}, kBf16);
  const LossAndGradients again =
      Learn(config_, base_, TinyLora(config_, at::kFloat, 0.1), false, {{true, 7}, true}, kBf16);
  EXPECT_EQ(kept.loss, again.loss);
  EXPECT_EQ(Distance(kept.gradients, again.gradients), 0);
}

INSTANTIATE_TEST_SUITE_P(All, ComputeTest,
                         testing::Values("llama", "mistral", "qwen2", "qwen3", "gpt2"));

TEST(ComputeOfInt8Test, Bf16WidensTheSameValues) {
  const at::Tensor weight = at::sin(at::arange(70 * 130, at::kFloat)).view({70, 130});
  const FrozenMatrix matrix = QuantizeInt8(weight);
  EXPECT_TRUE(at::equal(Widen(matrix, at::kBFloat16), Widen(matrix, at::kFloat).to(at::kBFloat16)));
  const at::Tensor x = at::cos(at::arange(3 * 130, at::kFloat)).view({3, 130});
  const at::Tensor exact = TimesTransposed(x, matrix);
  const at::Tensor rounded = TimesTransposed(x.to(at::kBFloat16), matrix).to(at::kFloat);
  EXPECT_LT((rounded - exact).norm().item<double>(), 0.01 * exact.norm().item<double>());
}

TEST(ChooseComputeTest, KnowsTwoPrecisions) {
  EXPECT_FALSE(ChooseCompute("cpu", "fp32", 0)->dtype.has_value());
  EXPECT_EQ(ChooseCompute("cpu", "bf16", 0)->dtype, at::kBFloat16);
  EXPECT_THAT(ChooseCompute("cpu", "fp8", 0).status().message(),
              testing::HasSubstr("known: fp32, bf16"));
}

}  // namespace
}  // namespace tributary::trainer

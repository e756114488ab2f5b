#include "trainer/layer_checkpoint.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/function.h>

#include <set>
#include <string>
#include <vector>

#include "tests/trainer/tiny_model.h"
#include "trainer/model_directory.h"

namespace tributary::trainer {
namespace {

const std::vector<std::vector<std::int32_t>> kSequences = {{0, 5, 7, 2, 9, 1}, {0, 3, 1}};

// Gradients of two passes, one upon the other.
NamedTensors Gradients(const LanguageModel& model, const NamedTensors& trained, bool recompute) {
  for (const auto& [name, tensor] : trained) tensor.mutable_grad() = at::Tensor();
  const PackedBatch batch = TinyBatch(kSequences);
  for (const std::uint64_t key : {7, 8}) {
    LossSum(model, batch, {.dropout = {true, key}, .recompute_layers = recompute}).backward();
  }
  NamedTensors gradients;
  for (const auto& [name, tensor] : trained) gradients[name] = tensor.grad();
  return gradients;
}

void ExpectSameBits(const LanguageModel& model, const NamedTensors& trained) {
  const NamedTensors kept = Gradients(model, trained, false);
  const NamedTensors recomputed = Gradients(model, trained, true);
  for (const auto& [name, gradient] : kept) {
    ASSERT_TRUE(gradient.defined() && recomputed.at(name).defined()) << name;
    EXPECT_TRUE(at::equal(gradient, recomputed.at(name))) << name;
  }
}

TEST(LayerCheckpointTest, RecomputedLayersGiveTheSameBitsInEveryArchitecture) {
  for (const char* type : {"llama", "mistral", "qwen2", "qwen3", "gpt2"}) {
    SCOPED_TRACE(type);
    const ModelConfig config = TinyConfigOf(type);
    auto model = std::move(CreateModel(config, TinyWeights(config, at::kFloat))).value();
    Adapter adapter = TinyLora(config, at::kFloat, 0.3);
    AttachLora(adapter, model.get());
    ExpectSameBits(*model, RequireGradients(&adapter.tensors));
  }
}

// Nodes of the graph behind `y` that compute a layer again.
int RecomputedLayers(const at::Tensor& y) {
  std::set<torch::autograd::Node*> seen;
  std::vector<torch::autograd::Node*> waiting = {y.grad_fn().get()};
  int count = 0;
  while (!waiting.empty()) {
    torch::autograd::Node* node = waiting.back();
    waiting.pop_back();
    if (node == nullptr || !seen.insert(node).second) continue;
    if (node->name().find("RecomputedLayer") != std::string::npos) ++count;
    for (const auto& edge : node->next_edges()) waiting.push_back(edge.function.get());
  }
  return count;
}

TEST(LayerCheckpointTest, EveryLayerOfAModelIsRecomputedWhenAskedFor) {
  for (const char* type : {"llama", "gpt2"}) {
    SCOPED_TRACE(type);
    const ModelConfig config = TinyConfigOf(type);
    auto model = std::move(CreateModel(config, TinyWeights(config, at::kFloat))).value();
    Adapter adapter = TinyLora(config, at::kFloat);
    AttachLora(adapter, model.get());
    RequireGradients(&adapter.tensors);
    const PackedBatch batch = TinyBatch(kSequences);
    EXPECT_EQ(RecomputedLayers(model->Hidden(batch, {})), 0);
    EXPECT_EQ(RecomputedLayers(model->Hidden(batch, {.dropout = {}, .recompute_layers = true})),
              config.shape.layers);
  }
}

TEST(LayerCheckpointTest, AlsoWhereEveryWeightIsTrained) {
  for (const char* type : {"llama", "gpt2"}) {
    SCOPED_TRACE(type);
    const ModelConfig config = TinyConfigOf(type);
    NamedTensors weights = TinyWeights(config, at::kFloat);
    const auto model = std::move(CreateModel(config, weights)).value();
    ExpectSameBits(*model, RequireGradients(&weights));
  }
}

TEST(LayerCheckpointTest, ALayerIsComputedAgainOnlyForAGradient) {
  int calls = 0;
  at::Tensor weight = at::full({1}, 3.0);
  const LayerFunction layer = [&](const at::Tensor& x) {
    ++calls;
    return x * weight;
  };
  const at::Tensor x = at::full({1}, 2.0);
  EXPECT_FALSE(RunLayer(x, true, layer).requires_grad());
  EXPECT_EQ(calls, 1);
  weight.requires_grad_(true);
  const at::Tensor y = RunLayer(x, true, layer);
  EXPECT_EQ(calls, 2);
  y.backward();
  EXPECT_EQ(calls, 3);
  EXPECT_EQ(weight.grad().item<float>(), 2);
  RunLayer(x, false, layer).backward();
  EXPECT_EQ(calls, 4);
}

}  // namespace
}  // namespace tributary::trainer

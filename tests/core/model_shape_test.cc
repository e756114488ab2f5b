#include "core/model_shape.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace tributary {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kLlama = R"({"model_type": "llama", "vocab_size": 32, "hidden_size": 8,
  "intermediate_size": 12, "num_hidden_layers": 2, "num_attention_heads": 4,
  "num_key_value_heads": 2, "head_dim": 6, "tie_word_embeddings": true, "eos_token_id": 1})";

ModelShape Shape() { return std::move(ModelShape::FromConfigJson(kLlama)).value(); }

ModelShape ShapeOf(const std::string& text) {
  const auto shape = ModelShape::FromConfigJson(text);
  EXPECT_TRUE(shape.ok()) << shape.status();
  return *shape;
}

const TensorSpec* Find(const Manifest& manifest, const std::string& name) {
  const auto it = std::find_if(manifest.begin(), manifest.end(),
                               [&](const TensorSpec& spec) { return spec.name == name; });
  return it == manifest.end() ? nullptr : &*it;
}

TEST(ModelShapeTest, ListsLinearModulesWithTheirShapes) {
  const auto modules = Shape().LinearModules();
  ASSERT_EQ(modules.size(), 14U);
  EXPECT_EQ(modules[0].name, "model.layers.0.self_attn.q_proj");
  EXPECT_EQ(modules[0].out, 24);
  EXPECT_EQ(modules[1].out, 12);
  EXPECT_EQ(modules[3].in, 24);
  EXPECT_EQ(modules[13].name, "model.layers.1.mlp.down_proj");
  EXPECT_EQ(modules[13].in, 12);
}

TEST(ModelShapeTest, AllWeightsAreSortedAndWithoutATiedHead) {
  ModelShape shape = Shape();
  const Manifest tied = shape.AllWeights();
  EXPECT_EQ(tied.size(), 2U + 2 * 9);
  EXPECT_TRUE(std::is_sorted(tied.begin(), tied.end(),
                             [](const auto& a, const auto& b) { return a.name < b.name; }));
  shape.tied_embeddings = false;
  EXPECT_EQ(shape.AllWeights().size(), tied.size() + 1);
}

TEST(ModelShapeTest, NamesAllProblems) {
  const Status status = ModelShape::FromConfigJson(R"({"model_type": "llama", "vocab_size": 0,
      "hidden_size": 10, "intermediate_size": 4, "num_hidden_layers": 1, "num_attention_heads": 4,
      "num_key_value_heads": 3, "mlp_bias": 1})")
                            .status();
  for (const char* part :
       {"vocab_size", "does not divide hidden_size", "num_key_value_heads", "mlp_bias"}) {
    EXPECT_THAT(status.message(), HasSubstr(part));
  }
}

TEST(ModelShapeTest, NamesTheArchitecturesThereAre) {
  const Status status = ModelShape::FromConfigJson(R"({"model_type": "phi3"})").status();
  EXPECT_THAT(
      status.message(),
      HasSubstr("\"phi3\" is not supported; supported: gpt2, llama, mistral, qwen2, qwen3"));
}

std::string Config(const std::string& type, const std::string& more) {
  return R"({"model_type": ")" + type + R"(", "vocab_size": 32, "hidden_size": 8,
      "intermediate_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2)" +
         more + "}";
}

TEST(ModelShapeTest, Qwen2HasBiasesOfQKAndV) {
  const Manifest weights = ShapeOf(Config("qwen2", "")).AllWeights();
  EXPECT_EQ(weights.size(), 3U + 9 + 3);
  ASSERT_NE(Find(weights, "model.layers.0.self_attn.k_proj.bias"), nullptr);
  EXPECT_EQ(Find(weights, "model.layers.0.self_attn.o_proj.bias"), nullptr);
}

TEST(ModelShapeTest, Qwen3HasNormsOfHeadsAndItsOwnHeadWidth) {
  const ModelShape shape = ShapeOf(Config("qwen3", ""));
  EXPECT_EQ(shape.head_dim, 128);
  const Manifest weights = shape.AllWeights();
  ASSERT_NE(Find(weights, "model.layers.0.self_attn.q_norm.weight"), nullptr);
  EXPECT_THAT(Find(weights, "model.layers.0.self_attn.q_norm.weight")->shape, ElementsAre(128));
  EXPECT_EQ(Find(weights, "model.layers.0.self_attn.q_proj.bias"), nullptr);
}

TEST(ModelShapeTest, LlamaMayHaveBiases) {
  const Manifest weights =
      ShapeOf(Config("llama", R"(, "attention_bias": true, "mlp_bias": true)")).AllWeights();
  EXPECT_EQ(weights.size(), 3U + 9 + 7);
}

TEST(ModelShapeTest, Gpt2KeepsItsWeightsTransposed) {
  const ModelShape shape = ShapeOf(R"({"model_type": "gpt2", "vocab_size": 32, "n_embd": 8,
      "n_layer": 1, "n_head": 2, "n_positions": 16, "n_inner": null})");
  EXPECT_TRUE(shape.tied_embeddings);
  EXPECT_EQ(shape.intermediate_size, 32);
  const Manifest weights = shape.AllWeights();
  EXPECT_EQ(weights.size(), 2U + 12 + 2);
  EXPECT_THAT(Find(weights, "transformer.h.0.attn.c_attn.weight")->shape, ElementsAre(8, 24));
  EXPECT_THAT(Find(weights, "transformer.h.0.attn.c_attn.bias")->shape, ElementsAre(24));
  EXPECT_THAT(Find(weights, "transformer.h.0.mlp.c_proj.weight")->shape, ElementsAre(32, 8));
  EXPECT_EQ(shape.Modules().back().name, "lm_head");
  EXPECT_EQ(shape.LinearModules().size(), 4U);
}

}  // namespace
}  // namespace tributary

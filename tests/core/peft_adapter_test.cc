#include "core/peft_adapter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "core/sha256.h"

namespace tributary {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kConfig = R"({"model_type": "llama", "vocab_size": 32, "hidden_size": 8,
  "intermediate_size": 12, "num_hidden_layers": 2, "num_attention_heads": 4,
  "num_key_value_heads": 2, "head_dim": 6, "tie_word_embeddings": true, "eos_token_id": 1})";

LlamaShape Shape() { return std::move(LlamaShape::FromConfigJson(kConfig)).value(); }

std::vector<std::string> Names(const Manifest& manifest) {
  std::vector<std::string> names;
  for (const TensorSpec& spec : manifest) names.push_back(spec.name);
  return names;
}

TEST(AdapterConfigTest, RoundTripsThroughPeftsFile) {
  AdapterConfig config;
  config.rank = 4;
  config.alpha = 12.5;
  config.dropout = 0.05;
  config.target_modules = {"o_proj", "up_proj"};
  config.base_model = "base";
  const auto read = AdapterConfig::FromPeftJson(config.ToPeftJson());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->ToPeftJson(), config.ToPeftJson());
  EXPECT_EQ(read->target_modules, config.target_modules);
  EXPECT_DOUBLE_EQ(read->Scale(), 3.125);
}

TEST(AdapterConfigTest, FullAdaptersRoundTrip) {
  AdapterConfig config;
  config.kind = AdapterKind::kFull;
  config.base_model = "base";
  const auto read = AdapterConfig::FromPeftJson(config.ToPeftJson());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->kind, AdapterKind::kFull);
  EXPECT_EQ(read->base_model, "base");
}

TEST(AdapterConfigTest, AcceptsWhatPeftWritesForAPlainLora) {
  const auto read = AdapterConfig::FromPeftJson(R"({
    "alpha_pattern": {}, "arrow_config": null, "auto_mapping": null, "base_model_name_or_path": null,
    "bias": "none", "corda_config": null, "eva_config": null, "exclude_modules": null,
    "fan_in_fan_out": false, "inference_mode": true, "init_lora_weights": true,
    "layer_replication": null, "layers_pattern": null, "layers_to_transform": null,
    "loftq_config": {}, "lora_alpha": 16, "lora_bias": false, "lora_dropout": 0.05,
    "megatron_config": null, "megatron_core": "megatron.core", "modules_to_save": null,
    "peft_type": "LORA", "peft_version": "0.18.0", "qalora_group_size": 16, "r": 8,
    "rank_pattern": {}, "revision": null, "target_modules": ["q_proj", "v_proj"],
    "target_parameters": null, "task_type": "CAUSAL_LM", "trainable_token_indices": null,
    "use_dora": false, "use_qalora": false, "use_rslora": false})");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->rank, 8);
}

TEST(AdapterConfigTest, RefusesOptionsThatChangeTheMathematics) {
  const Status status = AdapterConfig::FromPeftJson(R"({"peft_type": "LORA", "r": 0,
      "lora_alpha": 16, "target_modules": ["q_proj"], "use_dora": true, "use_rslora": true,
      "rank_pattern": {"q_proj": 4}, "bias": "all", "lora_dropout": 1})")
                            .status();
  for (const char* part :
       {".r:", "use_dora", "use_rslora", "rank_pattern", "bias", "lora_dropout"}) {
    EXPECT_THAT(status.message(), HasSubstr(part));
  }
}

TEST(LlamaShapeTest, ListsLinearModulesWithTheirShapes) {
  const auto modules = Shape().LinearModules();
  ASSERT_EQ(modules.size(), 14U);
  EXPECT_EQ(modules[0].name, "model.layers.0.self_attn.q_proj");
  EXPECT_EQ(modules[0].out, 24);
  EXPECT_EQ(modules[1].out, 12);
  EXPECT_EQ(modules[3].in, 24);
  EXPECT_EQ(modules[13].name, "model.layers.1.mlp.down_proj");
  EXPECT_EQ(modules[13].in, 12);
}

TEST(LlamaShapeTest, AllWeightsAreSortedAndWithoutATiedHead) {
  LlamaShape shape = Shape();
  const Manifest tied = shape.AllWeights();
  EXPECT_EQ(tied.size(), 2U + 2 * 9);
  EXPECT_TRUE(std::is_sorted(tied.begin(), tied.end(),
                             [](const auto& a, const auto& b) { return a.name < b.name; }));
  shape.tied_embeddings = false;
  EXPECT_EQ(shape.AllWeights().size(), tied.size() + 1);
}

TEST(LlamaShapeTest, NamesAllProblems) {
  const Status status = LlamaShape::FromConfigJson(R"({"model_type": "gpt2", "vocab_size": 0,
      "hidden_size": 10, "intermediate_size": 4, "num_hidden_layers": 1, "num_attention_heads": 4,
      "num_key_value_heads": 3, "attention_bias": true})")
                            .status();
  for (const char* part : {"supported: llama", "vocab_size", "does not divide hidden_size",
                           "num_key_value_heads", "attention_bias"}) {
    EXPECT_THAT(status.message(), HasSubstr(part));
  }
}

TEST(AdapterManifestTest, HasAPairForEachTargetInNameOrder) {
  AdapterConfig config;
  config.rank = 3;
  config.target_modules = {"v_proj"};
  const auto manifest = AdapterManifest(config, Shape());
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  EXPECT_THAT(Names(*manifest),
              ElementsAre("base_model.model.model.layers.0.self_attn.v_proj.lora_A.weight",
                          "base_model.model.model.layers.0.self_attn.v_proj.lora_B.weight",
                          "base_model.model.model.layers.1.self_attn.v_proj.lora_A.weight",
                          "base_model.model.model.layers.1.self_attn.v_proj.lora_B.weight"));
  EXPECT_THAT((*manifest)[0].shape, ElementsAre(3, 8));
  EXPECT_THAT((*manifest)[1].shape, ElementsAre(12, 3));
}

TEST(AdapterManifestTest, NamesTargetsThatMatchNothing) {
  AdapterConfig config;
  config.target_modules = {"q_proj", "c_attn"};
  const Status status = AdapterManifest(config, Shape()).status();
  EXPECT_THAT(status.message(), HasSubstr("c_attn; the model has down_proj, gate_proj"));
}

TEST(AdapterManifestTest, FullIsEveryWeight) {
  AdapterConfig config;
  config.kind = AdapterKind::kFull;
  EXPECT_EQ(*AdapterManifest(config, Shape()), Shape().AllWeights());
}

TEST(InitialLoraTest, DrawsAWithinItsBoundAndLeavesBZero) {
  const auto tensors = InitialLora(*AdapterManifest({}, Shape()), 1);
  ASSERT_EQ(tensors.size(), 8U);
  for (const HostTensor& tensor : tensors) {
    std::vector<float> values(tensor.spec.ElementCount());
    std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
    const bool is_a = tensor.spec.name.ends_with("lora_A.weight");
    const double bound = 1 / std::sqrt(8.0);
    double squares = 0;
    for (const float value : values) {
      EXPECT_LE(std::abs(value), is_a ? bound : 0);
      squares += value * value;
    }
    const double variance = squares / static_cast<double>(values.size());
    EXPECT_NEAR(variance, is_a ? bound * bound / 3 : 0, 0.015);
  }
}

// The bits are a contract: every platform and every release starts a campaign from the same
// adapter.
TEST(InitialLoraTest, BitsAreFixed) {
  std::string bytes;
  for (const HostTensor& tensor : InitialLora(*AdapterManifest({}, Shape()), 42)) {
    bytes.append(reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size());
  }
  EXPECT_EQ(Sha256Of(bytes).ToHex(),
            "41e3f7db8fbeb67e1eb6fb94583e2dff0eb18e920ab35262774cf97186871561");
}

TEST(InitialLoraTest, SeedAndNameBothMatter) {
  const Manifest manifest = *AdapterManifest({}, Shape());
  const auto one = InitialLora(manifest, 1);
  const auto two = InitialLora(manifest, 2);
  EXPECT_NE(one[0].bytes, two[0].bytes);
  EXPECT_NE(one[0].bytes, one[2].bytes);
}

}  // namespace
}  // namespace tributary

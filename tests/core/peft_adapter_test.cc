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

ModelShape BaseShape() { return std::move(ModelShape::FromConfigJson(kConfig)).value(); }

std::vector<std::string> Names(const Manifest& manifest) {
  std::vector<std::string> names;
  for (const TensorSpec& spec : manifest) names.push_back(spec.name);
  return names;
}

std::vector<std::string> Modules(const AdapterConfig& config) {
  std::vector<std::string> names;
  const auto layout = LayOutAdapter(config, BaseShape());
  EXPECT_TRUE(layout.ok()) << layout.status();
  for (const auto& pair : layout->pairs) names.push_back(pair.module.name);
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

TEST(AdapterConfigTest, MiddleMatricesAreNotPefts) {
  AdapterConfig config;
  EXPECT_THAT(config.ToPeftJson(), HasSubstr("\"peft_type\": \"LORA\""));
  config.middle = true;
  EXPECT_THAT(config.ToPeftJson(), HasSubstr("\"peft_type\": \"LORA_SB\""));
  const auto read = AdapterConfig::FromPeftJson(config.ToPeftJson());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_TRUE(read->middle);
  EXPECT_TRUE(read->AtRank(2).middle);
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
      "lora_alpha": 16, "target_modules": ["q_proj"], "use_dora": true, "lora_bias": true,
      "rank_pattern": {"q_proj": 0}, "alpha_pattern": {"q_proj": -1}, "bias": "all", "lora_dropout": 1,
      "init_lora_weights": "pissa", "layers_to_transform": [1]})")
                            .status();
  for (const char* part :
       {".r:", "use_dora", "lora_bias", "rank_pattern.q_proj", "alpha_pattern.q_proj", "bias",
        "lora_dropout", "init_lora_weights", "layers_to_transform"}) {
    EXPECT_THAT(status.message(), HasSubstr(part));
  }
}

TEST(AdapterManifestTest, HasAPairForEachTargetInNameOrder) {
  AdapterConfig config;
  config.rank = 3;
  config.target_modules = {"v_proj"};
  const auto manifest = AdapterManifest(config, BaseShape());
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
  const Status status = AdapterManifest(config, BaseShape()).status();
  EXPECT_THAT(status.message(), HasSubstr("c_attn; the model has down_proj, gate_proj"));
}

TEST(AdapterConfigTest, RoundTripsPatternsInTheirOrder) {
  AdapterConfig config;
  config.target_modules.clear();
  config.target_pattern = "all-linear";
  config.rank_pattern = {{"o_proj", 4}, {"layers.0.self_attn.k_proj", 2}};
  config.alpha_pattern = {{"v_proj", 3}, {"down_proj", 0.5}};
  config.use_rslora = true;
  config.modules_to_save = {"lm_head"};
  const auto read = AdapterConfig::FromPeftJson(config.ToPeftJson());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->ToPeftJson(), config.ToPeftJson());
  EXPECT_EQ(read->target_pattern, "all-linear");
  EXPECT_EQ(read->rank_pattern, config.rank_pattern);
  EXPECT_EQ(read->alpha_pattern, config.alpha_pattern);
  EXPECT_DOUBLE_EQ(read->Scale(), 16 / std::sqrt(8.0));
  EXPECT_DOUBLE_EQ(read->AtRank(2).Scale(), read->Scale());
  EXPECT_EQ(read->AtRank(2).rank, 2);
}

TEST(AdapterLayoutTest, TargetsMayBeLongerSuffixesOrOnePattern) {
  AdapterConfig config;
  config.target_modules = {"layers.1.self_attn.q_proj", "mlp.up_proj"};
  EXPECT_THAT(Modules(config),
              ElementsAre("model.layers.0.mlp.up_proj", "model.layers.1.self_attn.q_proj",
                          "model.layers.1.mlp.up_proj"));
  config.target_modules.clear();
  config.target_pattern = R"(model\.layers\.0\..*(?:k|v)_proj)";
  EXPECT_THAT(Modules(config),
              ElementsAre("model.layers.0.self_attn.k_proj", "model.layers.0.self_attn.v_proj"));
  config.target_pattern = "all-linear";
  EXPECT_EQ(Modules(config).size(), 14U);
}

TEST(AdapterLayoutTest, PatternsGiveModulesTheirRankAndScale) {
  AdapterConfig config;
  config.target_modules = {"q_proj", "v_proj"};
  config.rank_pattern = {{"layers.1.self_attn.q_proj", 2}, {"q_proj", 4}};
  config.alpha_pattern = {{R"(layers\.\d.self_attn.v_proj)", 32}};
  const auto layout = LayOutAdapter(config, BaseShape());
  ASSERT_TRUE(layout.ok()) << layout.status();
  const auto& pairs = layout->pairs;
  EXPECT_EQ(pairs[0].rank, 4);
  EXPECT_DOUBLE_EQ(pairs[0].scale, 4);
  EXPECT_EQ(pairs[1].rank, 8);
  EXPECT_DOUBLE_EQ(pairs[1].scale, 4);
  EXPECT_EQ(pairs[2].rank, 2);
  EXPECT_DOUBLE_EQ(pairs[2].scale, 8);
}

TEST(AdapterLayoutTest, RefusesPatternsThatCannotBeUsed) {
  AdapterConfig config;
  config.target_pattern = "(";
  EXPECT_THAT(LayOutAdapter(config, BaseShape()).status().message(),
              HasSubstr("target_modules: regular expression"));
  config.target_pattern = ".*embed_tokens";
  EXPECT_THAT(LayOutAdapter(config, BaseShape()).status().message(), HasSubstr("can get no LoRA"));
  config.target_pattern = "nothing";
  EXPECT_THAT(LayOutAdapter(config, BaseShape()).status().message(),
              HasSubstr("names no linear module; the model has down_proj"));
  config.target_pattern = "(.*.*.*.*.*.*.*.*.*.*.*)*X";  // would take for ever
  EXPECT_FALSE(LayOutAdapter(config, BaseShape()).ok());
}

TEST(AdapterManifestTest, ModulesToSaveAreWholeTensors) {
  AdapterConfig config;
  config.target_modules = {"q_proj"};
  config.modules_to_save = {"lm_head", "norm"};
  const auto manifest = AdapterManifest(config, BaseShape());
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  const auto names = Names(*manifest);
  EXPECT_EQ(names.size(), 4U + 1 + 5);  // q_proj; the head; norms of two layers and the last
  EXPECT_EQ(names[0], "base_model.model.lm_head.weight");
  EXPECT_THAT((*manifest)[0].shape, ElementsAre(32, 8));
  config.modules_to_save = {"score", "q_proj"};
  EXPECT_THAT(
      AdapterManifest(config, BaseShape()).status().message(),
      HasSubstr("modules_to_save: no such module: score; the model has down_proj, embed_tokens"));
  config.modules_to_save = {"q_proj"};
  EXPECT_THAT(AdapterManifest(config, BaseShape()).status().message(),
              HasSubstr("is among target_modules too"));
}

TEST(AdapterManifestTest, FullIsEveryWeight) {
  AdapterConfig config;
  config.kind = AdapterKind::kFull;
  EXPECT_EQ(*AdapterManifest(config, BaseShape()), BaseShape().AllWeights());
}

TEST(InitialLoraTest, DrawsAWithinItsBoundAndLeavesBZero) {
  const auto tensors = InitialLora(*AdapterManifest({}, BaseShape()), 1);
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

TEST(InitialLoraTest, MiddleMatricesAreZeroBetweenNearlyOrthonormalFactors) {
  const Manifest manifest = {{"m.lora_A.weight", DType::kF32, {4, 3000}},
                             {"m.lora_B.weight", DType::kF32, {2000, 4}},
                             {"m.lora_C.weight", DType::kF32, {4, 4}}};
  std::vector<std::vector<float>> values;
  for (const HostTensor& tensor : InitialLora(manifest, 1)) {
    values.emplace_back(tensor.spec.ElementCount());
    std::memcpy(values.back().data(), tensor.bytes.data(), tensor.bytes.size());
  }
  for (std::size_t i = 0; i < 4; ++i) {
    for (std::size_t j = 0; j < 4; ++j) {
      double rows = 0;
      double columns = 0;
      for (std::size_t k = 0; k < 3000; ++k)
        rows += values[0][i * 3000 + k] * values[0][j * 3000 + k];
      for (std::size_t k = 0; k < 2000; ++k) columns += values[1][k * 4 + i] * values[1][k * 4 + j];
      EXPECT_NEAR(rows, i == j ? 1 : 0, 0.1);
      EXPECT_NEAR(columns, i == j ? 1 : 0, 0.1);
    }
  }
  EXPECT_THAT(values[2], testing::Each(0));
}

// The bits are a contract: every platform and every release starts a campaign from the same
// adapter.
TEST(InitialLoraTest, BitsAreFixed) {
  std::string bytes;
  for (const HostTensor& tensor : InitialLora(*AdapterManifest({}, BaseShape()), 42)) {
    bytes.append(reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size());
  }
  EXPECT_EQ(Sha256Of(bytes).ToHex(),
            "41e3f7db8fbeb67e1eb6fb94583e2dff0eb18e920ab35262774cf97186871561");
}

TEST(InitialLoraTest, SeedAndNameBothMatter) {
  const Manifest manifest = *AdapterManifest({}, BaseShape());
  const auto one = InitialLora(manifest, 1);
  const auto two = InitialLora(manifest, 2);
  EXPECT_NE(one[0].bytes, two[0].bytes);
  EXPECT_NE(one[0].bytes, one[2].bytes);
}

}  // namespace
}  // namespace tributary

#include "trainer/model_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/trainer/tiny_model.h"

namespace tributary::trainer {
namespace {

using testing::HasSubstr;

constexpr const char* kMinimal = R"({"model_type": "llama", "vocab_size": 32, "hidden_size": 8,
  "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "eos_token_id": [3, 4])";

Result<ModelConfig> Parse(const std::string& more) {
  return ModelConfig::FromJson(kMinimal + more + "}");
}

TEST(ModelConfigTest, RoundTripsThroughConfigJson) {
  const ModelConfig config = TinyConfig();
  const auto read = ModelConfig::FromJson(config.ToJson());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->ToJson(), config.ToJson());
  EXPECT_EQ(read->shape.head_dim, 4);
}

TEST(ModelConfigTest, FillsInWhatTransformersLeavesOut) {
  const auto config = Parse("");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->shape.kv_heads, 2);
  EXPECT_EQ(config->shape.head_dim, 4);
  EXPECT_EQ(config->eos_token, 3);
  EXPECT_FALSE(config->bos_token.has_value());
  EXPECT_FALSE(config->shape.tied_embeddings);
}

// As Python's json module writes it.
TEST(ModelConfigTest, WhatNobodyReadsDoesNoHarm) {
  const auto config = Parse(R"(, "time_step_limit": [0.0, Infinity], "initializer_range": NaN,
      "problem_type": null, "problem_type": "x")");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->shape.hidden_size, 8);
  EXPECT_THAT(Parse(R"(, "rope_theta": NaN)").status().message(), HasSubstr("rope_theta"));
  EXPECT_THAT(Parse(R"(, "rope_theta": 1e4, "rope_theta": 1e5)").status().message(),
              HasSubstr("rope_theta"));
  EXPECT_FALSE(Parse(R"(, "rope_theta": 1e4,,)").ok());
}

TEST(ModelConfigTest, ReadsRopeThetaFromEitherPlace) {
  EXPECT_EQ(Parse(R"(, "rope_theta": 500000.0)")->rope_theta, 500000);
  EXPECT_EQ(
      Parse(R"(, "rope_parameters": {"rope_type": "default", "rope_theta": 7e4})")->rope_theta,
      70000);
}

TEST(ModelConfigTest, ReadsOrRefusesWhatStandsInRopeParameters) {
  const auto by_type = [](const std::string& full, const std::string& sliding) {
    return Parse(
        R"(, "rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": )" +
        full + "}" +
        (sliding.empty() ? ""
                         : R"(, "sliding_attention": {"rope_type": "default", "rope_theta": )" +
                               sliding + "}") +
        "}");
  };
  EXPECT_EQ(by_type("5e5", "")->rope_theta, 500000);
  EXPECT_EQ(by_type("5e5", "5e5")->rope_theta, 500000);
  EXPECT_THAT(by_type("5e5", "1e4").status().message(),
              HasSubstr("sliding_attention: is not as full_attention"));
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    const auto with = [key](const std::string& more) {
      return Parse(std::string(", \"") + key + R"(": {"rope_type": "default", )" + more + "}")
          .status();
    };
    EXPECT_THAT(with(R"("partial_rotary_factor": 0.5)").message(),
                HasSubstr(std::string(key) + ".partial_rotary_factor: is not supported"));
    EXPECT_THAT(with(R"("mrope_section": [1, 1])").message(),
                HasSubstr(std::string(key) + ".mrope_section: is not supported"));
    EXPECT_TRUE(with(R"("partial_rotary_factor": 1.0, "attention_factor": null)").ok());
  }
}

TEST(ModelConfigTest, NamesEveryUnsupportedOption) {
  const auto config =
      Parse(R"(, "hidden_act": "gelu", "rope_scaling": {"type": "yarn"}, "bos_token_id": 32)");
  ASSERT_FALSE(config.ok());
  EXPECT_THAT(config.status().message(), HasSubstr("supported: silu"));
  EXPECT_THAT(config.status().message(),
              HasSubstr("\"yarn\" is not supported; supported: default, linear, llama3"));
  EXPECT_THAT(config.status().message(), HasSubstr("bos_token_id"));
}

TEST(ModelConfigTest, RefusesOtherModelTypes) {
  const auto config = ModelConfig::FromJson(R"({"model_type": "phi3"})");
  ASSERT_FALSE(config.ok());
  EXPECT_THAT(
      config.status().message(),
      HasSubstr("\"phi3\" is not supported; supported: gpt2, llama, mistral, qwen2, qwen3"));
}

TEST(ModelConfigTest, ReadsRopeScalingUnderBothNamesOfItsType) {
  const auto linear = Parse(R"(, "rope_scaling": {"type": "linear", "factor": 2.0})");
  ASSERT_TRUE(linear.ok()) << linear.status();
  EXPECT_EQ(linear->rope_scaling.kind, RopeScaling::Kind::kLinear);
  const auto llama3 = Parse(R"(, "rope_scaling": {"rope_type": "llama3", "factor": 32,
      "low_freq_factor": 1, "high_freq_factor": 4, "original_max_position_embeddings": 8192})");
  ASSERT_TRUE(llama3.ok()) << llama3.status();
  EXPECT_EQ(llama3->rope_scaling.kind, RopeScaling::Kind::kLlama3);
  EXPECT_EQ(llama3->rope_scaling.factor, 32);
}

std::vector<std::int64_t> Windows(const std::string& type, const std::string& more) {
  const auto config = ModelConfig::FromJson(
      R"({"model_type": ")" + type + R"(", "vocab_size": 32, "hidden_size": 8, "eos_token_id": 1,
      "intermediate_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2)" +
      more + "}");
  EXPECT_TRUE(config.ok()) << config.status();
  return {config->Window(0), config->Window(1), config->Window(2)};
}

TEST(ModelConfigTest, SlidingWindowsFollowEachArchitecturesDefaults) {
  using testing::ElementsAre;
  EXPECT_THAT(Windows("mistral", ""), ElementsAre(4096, 4096, 4096));
  EXPECT_THAT(Windows("mistral", R"(, "sliding_window": null)"), ElementsAre(0, 0, 0));
  EXPECT_THAT(Windows("mistral", R"(, "sliding_window": 7)"), ElementsAre(7, 7, 7));
  EXPECT_THAT(Windows("qwen2", R"(, "sliding_window": 7)"), ElementsAre(0, 0, 0));
  EXPECT_THAT(Windows("qwen2", R"(, "sliding_window": 7, "use_sliding_window": true)"),
              ElementsAre(0, 0, 0));  // from layer 28 on
  EXPECT_THAT(Windows("qwen2", R"(, "sliding_window": 7, "use_sliding_window": true,
      "max_window_layers": 2)"),
              ElementsAre(0, 0, 7));
  EXPECT_THAT(Windows("qwen3", R"(, "sliding_window": 7, "use_sliding_window": true,
      "layer_types": ["sliding_attention", "full_attention", "sliding_attention"])"),
              ElementsAre(7, 0, 7));
}

TEST(ModelConfigTest, RefusesQuantizedWeights) {
  EXPECT_THAT(Parse(R"(, "quantization_config": {"quant_method": "awq"})").status().message(),
              HasSubstr("quantized weights are not supported"));
}

}  // namespace
}  // namespace tributary::trainer

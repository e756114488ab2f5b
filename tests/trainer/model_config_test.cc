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

TEST(ModelConfigTest, ReadsRopeThetaFromEitherPlace) {
  EXPECT_EQ(Parse(R"(, "rope_theta": 500000.0)")->rope_theta, 500000);
  EXPECT_EQ(
      Parse(R"(, "rope_parameters": {"rope_type": "default", "rope_theta": 7e4})")->rope_theta,
      70000);
}

TEST(ModelConfigTest, NamesEveryUnsupportedOption) {
  const auto config = Parse(
      R"(, "hidden_act": "gelu", "rope_scaling": {"rope_type": "llama3"}, "bos_token_id": 32)");
  ASSERT_FALSE(config.ok());
  EXPECT_THAT(config.status().message(), HasSubstr("supported: silu"));
  EXPECT_THAT(config.status().message(), HasSubstr("llama3"));
  EXPECT_THAT(config.status().message(), HasSubstr("bos_token_id"));
}

TEST(ModelConfigTest, RefusesOtherModelTypes) {
  const auto config = ModelConfig::FromJson(R"({"model_type": "gpt2"})");
  ASSERT_FALSE(config.ok());
  EXPECT_THAT(config.status().message(), HasSubstr("\"gpt2\" is not supported; supported: llama"));
}

}  // namespace
}  // namespace tributary::trainer

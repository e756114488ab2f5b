#include "trainer/adapter.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/files.h"
#include "tests/trainer/tiny_model.h"

namespace tributary::trainer {
namespace {

class AdapterTest : public testing::Test {
 protected:
  void Write(const Adapter& adapter) {
    ASSERT_TRUE(
        WriteFileAtomic(JoinPath(directory_.path(), kAdapterConfigFile), adapter.config_text).ok());
    ASSERT_TRUE(
        SaveWeights(JoinPath(directory_.path(), kAdapterWeightsFile), adapter.tensors).ok());
  }

  TemporaryDirectory directory_ = std::move(TemporaryDirectory::Create("adapter-test")).value();
  ModelConfig config_ = TinyConfig();
};

TEST_F(AdapterTest, ReadsBackWhatWasWritten) {
  const Adapter written = TinyLora(config_, at::kFloat);
  Write(written);
  const auto read = LoadAdapter(directory_.path(), config_.shape);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->config.rank, 3);
  ASSERT_EQ(read->tensors.size(), written.tensors.size());
  for (const auto& [name, tensor] : written.tensors) {
    EXPECT_TRUE(at::equal(tensor, read->tensors.at(name))) << name;
  }
}

TEST_F(AdapterTest, NamesTensorsThatDoNotFitTheConfiguration) {
  Adapter adapter = TinyLora(config_, at::kFloat);
  adapter.tensors.erase("base_model.model.model.layers.1.mlp.up_proj.lora_B.weight");
  Write(adapter);
  const auto read = LoadAdapter(directory_.path(), config_.shape);
  ASSERT_FALSE(read.ok());
  EXPECT_THAT(read.status().message(), testing::HasSubstr("layers.1.mlp.up_proj.lora_B"));
}

TEST_F(AdapterTest, FullAdaptersHoldEveryWeight) {
  Adapter full;
  full.config.kind = AdapterKind::kFull;
  full.config_text = full.config.ToPeftJson();
  full.tensors = TinyWeights(config_, at::kFloat);
  Write(full);
  const auto read = LoadAdapter(directory_.path(), config_.shape);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->tensors.size(), config_.shape.AllWeights().size());
}

}  // namespace
}  // namespace tributary::trainer

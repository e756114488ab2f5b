#include "trainer/merge.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/files.h"
#include "tests/trainer/tiny_model.h"
#include "trainer/model_directory.h"

namespace tributary::trainer {
namespace {

class MergeTest : public testing::Test {
 protected:
  void WriteAll(const ModelConfig& config, const Adapter& adapter) {
    ASSERT_TRUE(
        SaveModelDirectory(model_, config, TinyWeights(config, at::kFloat), "{}", "{}").ok());
    ASSERT_TRUE(MakeDirectories(adapter_).ok());
    ASSERT_TRUE(
        WriteFileAtomic(JoinPath(adapter_, kAdapterConfigFile), adapter.config.ToPeftJson()).ok());
    ASSERT_TRUE(SaveWeights(JoinPath(adapter_, kAdapterWeightsFile), adapter.tensors).ok());
  }

  // The logits of a directory, with or without the adapter.
  at::Tensor LogitsOf(const std::string& path, bool adapted) {
    const auto config = ReadModelConfig(path);
    EXPECT_TRUE(config.ok()) << config.status();
    Adapter adapter;
    if (adapted) adapter = *LoadAdapter(adapter_, config->shape);
    const auto model = LoadModel(path, *config, adapter);
    EXPECT_TRUE(model.ok()) << model.status();
    const at::NoGradGuard no_grad;
    return Logits(**model, TinyBatch({{0, 5, 7, 2, 9, 1}}));
  }

  TemporaryDirectory directory_ = std::move(TemporaryDirectory::Create("merge-test")).value();
  std::string model_ = JoinPath(directory_.path(), "model");
  std::string adapter_ = JoinPath(directory_.path(), "adapter");
  std::string merged_ = JoinPath(directory_.path(), "merged");
};

TEST_F(MergeTest, TheMergedModelComputesWhatTheAdapterDid) {
  const ModelConfig config = TinyConfig();
  WriteAll(config, TinyLora(config, at::kFloat));
  ASSERT_TRUE(MergeAdapter(model_, adapter_, merged_).ok());
  EXPECT_TRUE(at::allclose(LogitsOf(merged_, false), LogitsOf(model_, true), 1e-4, 1e-5));
  EXPECT_TRUE(PathExists(JoinPath(merged_, "tokenizer.json")));
  EXPECT_EQ(MergeAdapter(model_, adapter_, merged_).code(), StatusCode::kAlreadyExists);
}

TEST_F(MergeTest, MiddleMatricesAreMerged) {
  const ModelConfig config = TinyConfig();
  WriteAll(config, TinyLora(config, at::kFloat, 0, true));
  ASSERT_TRUE(MergeAdapter(model_, adapter_, merged_).ok());
  EXPECT_TRUE(at::allclose(LogitsOf(merged_, false), LogitsOf(model_, true), 1e-4, 1e-5));
}

TEST_F(MergeTest, ATiedModelWithATrainedHeadIsWrittenUntied) {
  ModelConfig config = TinyConfig();
  config.shape.tied_embeddings = true;
  Adapter adapter = TinyLora(config, at::kFloat);
  adapter.config.modules_to_save = {"lm_head"};
  adapter.tensors[SavedName("lm_head.weight")] = at::ones({13, 8});
  WriteAll(config, adapter);
  ASSERT_TRUE(MergeAdapter(model_, adapter_, merged_).ok());
  EXPECT_FALSE(ReadModelConfig(merged_)->shape.tied_embeddings);
  EXPECT_TRUE(at::allclose(LogitsOf(merged_, false), LogitsOf(model_, true), 1e-4, 1e-5));
}

TEST(WithProductTest, AddsToEitherLayout) {
  const at::Tensor weight = at::rand({3, 2});
  const at::Tensor b = at::rand({3, 4});
  const at::Tensor a = at::rand({4, 2});
  const at::Tensor expected = weight + 0.5 * at::mm(b, a);
  EXPECT_TRUE(at::allclose(WithProduct(weight, false, b, a, 0.5), expected));
  EXPECT_TRUE(at::allclose(WithProduct(weight.t().contiguous(), true, b, a, 0.5), expected.t()));
}

}  // namespace
}  // namespace tributary::trainer

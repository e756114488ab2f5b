#include "trainer/adapter.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/files.h"
#include "tests/trainer/tiny_model.h"
#include "trainer/model_directory.h"

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

TEST_F(AdapterTest, SaysThatAPickleIsNotRead) {
  Write(TinyLora(config_, at::kFloat));
  ASSERT_TRUE(RemoveFile(JoinPath(directory_.path(), kAdapterWeightsFile)).ok());
  const auto none = LoadAdapter(directory_.path(), config_.shape);
  EXPECT_THAT(none.status().message(), testing::EndsWith("has no adapter_model.safetensors"));
  ASSERT_TRUE(WriteFileAtomic(JoinPath(directory_.path(), "adapter_model.bin"), "PK").ok());
  const auto pickled = LoadAdapter(directory_.path(), config_.shape);
  EXPECT_THAT(pickled.status().message(),
              testing::HasSubstr("adapter_model.bin is a pickle and is not read"));
}

// PEFT's save_embedding_layers="auto", after the tokenizer got tokens.
TEST_F(AdapterTest, EmbeddingsBesideTheFactorsTakeThePlaceOfTheModels) {
  for (const bool tied : {false, true}) {
    ModelConfig config = TinyConfig();
    config.shape.tied_embeddings = tied;
    Adapter adapter = TinyLora(config, at::kFloat);
    const std::string name = SavedName("model.embed_tokens.weight");
    const std::string head = SavedName("lm_head.weight");
    const auto& shape = config.shape;
    adapter.tensors[name] = at::ones({shape.vocab_size, shape.hidden_size});
    Write(adapter);
    const auto read = LoadAdapter(directory_.path(), shape);
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(read->layout.saved.size(), tied ? 2U : 1U);
    EXPECT_EQ(read->tensors.contains(head), tied);
    NamedTensors base = TinyWeights(config, at::kFloat);
    ReplaceSavedModules(*read, shape, &base);
    EXPECT_TRUE(at::equal(base.at("model.embed_tokens.weight"), adapter.tensors[name]));
    EXPECT_EQ(at::equal(base.at("lm_head.weight"), adapter.tensors[name]), tied);
    adapter.tensors[name] = at::ones({shape.vocab_size + 1, shape.hidden_size});
    Write(adapter);
    EXPECT_THAT(LoadAdapter(directory_.path(), shape).status().message(),
                testing::HasSubstr("embed_tokens"));
  }
}

TEST_F(AdapterTest, FilesThatAreNotAlignedGiveTheSameTensors) {
  const Adapter adapter = TinyLora(config_, at::kFloat);
  Write(adapter);
  const std::string path = JoinPath(directory_.path(), kAdapterWeightsFile);
  std::string file = *ReadFile(path);
  file.insert(8 + static_cast<unsigned char>(file[0]) + 256 * static_cast<unsigned char>(file[1]),
              "  ");  // at the end of the header
  file[0] = static_cast<char>(static_cast<unsigned char>(file[0]) + 2);
  ASSERT_TRUE(WriteFileAtomic(path, file).ok());
  ASSERT_FALSE(SafetensorsFile::Open(path).ok());
  const auto read = LoadAdapter(directory_.path(), config_.shape);
  ASSERT_TRUE(read.ok()) << read.status();
  for (const auto& [name, tensor] : adapter.tensors) {
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

TEST_F(AdapterTest, AMiddleMatrixActsBetweenTheFactorsAndLearns) {
  const Adapter middle = TinyLora(config_, at::kDouble, 0, true);
  Adapter plain = TinyLora(config_, at::kDouble);
  for (const auto& pair : plain.layout.pairs) {
    at::Tensor& b = plain.tensors[LoraName(pair.module.name, false)];
    b = at::mm(b, middle.tensors.at(MiddleName(pair.module.name)));
  }
  const NamedTensors base = TinyWeights(config_, at::kDouble);
  const auto with_middle = *CreateModel(config_, base);
  const auto without = *CreateModel(config_, base);
  AttachLora(middle, with_middle.get());
  AttachLora(plain, without.get());
  const PackedBatch batch = TinyBatch({{0, 5, 7, 2, 9, 1}});
  at::Tensor c = middle.tensors.at(MiddleName("model.layers.0.self_attn.v_proj"));
  c.requires_grad_(true);
  const at::Tensor loss = LossSum(*with_middle, batch);
  EXPECT_NEAR(loss.item<double>(), LossSum(*without, batch).item<double>(), 1e-9);
  loss.backward();
  const at::NoGradGuard no_grad;
  const double slope = c.grad()[1][2].item<double>();
  c[1][2] += 1e-6;
  const double up = LossSum(*with_middle, batch).item<double>();
  c[1][2] -= 2e-6;
  const double down = LossSum(*with_middle, batch).item<double>();
  EXPECT_GT(std::abs(slope), 1e-3);
  EXPECT_NEAR((up - down) / 2e-6, slope, 1e-6 * std::abs(slope) + 1e-7);
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

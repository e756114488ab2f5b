#include "trainer/llama.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/files.h"
#include "core/random.h"
#include "tests/trainer/reference_llama.h"
#include "tests/trainer/tiny_model.h"
#include "trainer/model_directory.h"

namespace tributary::trainer {
namespace {

const std::vector<std::vector<std::int32_t>> kLlamaSequences = {
    {0, 5, 7, 2, 9, 1}, {0, 3, 1}, {0, 12, 11, 10, 4, 4, 8, 6, 1}};

std::unique_ptr<LanguageModel> Make(const ModelConfig& config, const NamedTensors& weights) {
  auto model = CreateModel(config, weights);
  EXPECT_TRUE(model.ok()) << model.status();
  return std::move(model).value();
}

double Loss(const LanguageModel& model, const PackedBatch& batch, const ForwardPass& pass = {}) {
  const at::NoGradGuard no_grad;
  return LossSum(model, batch, pass).item<double>();
}

// Compares gradients with central differences, on every third element.
void ExpectGradientsMatch(const LanguageModel& model, NamedTensors& tensors,
                          const PackedBatch& batch, const ForwardPass& pass) {
  constexpr double kStep = 1e-5;
  RequireGradients(&tensors);
  LossSum(model, batch, pass).backward();
  for (auto& [name, tensor] : tensors) {
    ASSERT_TRUE(tensor.grad().defined()) << name;
    const at::Tensor gradient = tensor.grad().contiguous();
    double* values = tensor.data_ptr<double>();
    for (std::int64_t i = 0; i < tensor.numel(); i += 3) {
      const double saved = values[i];
      values[i] = saved + kStep;
      const double above = Loss(model, batch, pass);
      values[i] = saved - kStep;
      const double below = Loss(model, batch, pass);
      values[i] = saved;
      EXPECT_NEAR(gradient.data_ptr<double>()[i], (above - below) / (2 * kStep), 1e-6)
          << name << "[" << i << "]";
    }
  }
}

TEST(LlamaTest, LoraGradientsEqualCentralDifferences) {
  const ModelConfig config = TinyConfig();
  auto model = Make(config, TinyWeights(config, at::kDouble));
  Adapter adapter = TinyLora(config, at::kDouble);
  AttachLora(adapter, model.get());
  ExpectGradientsMatch(*model, adapter.tensors, TinyBatch(kLlamaSequences, 2), {});
}

TEST(LlamaTest, GradientsOfEachArchitectureEqualCentralDifferences) {
  for (const char* type : {"mistral", "qwen2", "qwen3", "gpt2"}) {
    SCOPED_TRACE(type);
    const ModelConfig config = TinyConfigOf(type);
    NamedTensors weights = TinyWeights(config, at::kDouble);
    auto model = Make(config, weights);
    Adapter adapter = TinyLora(config, at::kDouble);
    AttachLora(adapter, model.get());
    ExpectGradientsMatch(*model, adapter.tensors, TinyBatch(kLlamaSequences, 2), {});
    ExpectGradientsMatch(*model, weights, TinyBatch(kLlamaSequences, 2), {});
  }
}

TEST(LlamaTest, AWindowHidesWhatIsFurtherBack) {
  ModelConfig config = TinyConfig();
  config.windows = {0, 3};  // the first layer sees all
  const NamedTensors weights = TinyWeights(config, at::kDouble);
  const auto half = Make(config, weights);
  config.windows = {2, 3};
  const auto both = Make(config, weights);
  config.windows = {6, 6};  // as long as the sequence
  const auto wide = Make(config, weights);
  config.windows.clear();
  const auto none = Make(config, weights);
  const PackedBatch one = TinyBatch({{0, 5, 7, 2, 9, 4, 1}});
  const PackedBatch other = TinyBatch({{0, 6, 7, 2, 9, 4, 1}});
  EXPECT_TRUE(at::equal(Logits(*wide, one), Logits(*none, one)));
  // A token reaches (2 - 1) + (3 - 1) places through both layers.
  EXPECT_TRUE(at::equal(Logits(*both, one)[5], Logits(*both, other)[5]));
  EXPECT_FALSE(at::equal(Logits(*both, one)[4], Logits(*both, other)[4]));
  EXPECT_FALSE(at::equal(Logits(*half, one)[5], Logits(*half, other)[5]));
}

TEST(LlamaTest, ATrainedHeadStandsBesideATiedEmbedding) {
  ModelConfig config = TinyConfig();
  config.shape.tied_embeddings = true;
  for (const char* saved : {"embed_tokens", "lm_head"}) {
    Adapter adapter = TinyLora(config, at::kDouble);
    adapter.config.modules_to_save = {saved};
    adapter.layout = *LayOutAdapter(adapter.config, config.shape);
    NamedTensors base = TinyWeights(config, at::kDouble);
    const std::string weight = adapter.layout.saved[0].name + ".weight";
    const at::Tensor copy = base["model.embed_tokens.weight"] * 2;
    adapter.tensors[SavedName(weight)] = copy;
    ReplaceSavedModules(adapter, config.shape, &base);
    auto model = Make(config, base);
    AttachLora(adapter, model.get());
    EXPECT_TRUE(model->Head().equal(weight == "lm_head.weight" ? copy : copy / 2));
    ExpectGradientsMatch(*model, adapter.tensors, TinyBatch(kLlamaSequences, 2), {});
  }
}

TEST(LlamaTest, LoraGradientsEqualCentralDifferencesUnderDropout) {
  const ModelConfig config = TinyConfig();
  auto model = Make(config, TinyWeights(config, at::kDouble));
  Adapter adapter = TinyLora(config, at::kDouble, 0.3);
  AttachLora(adapter, model.get());
  ExpectGradientsMatch(*model, adapter.tensors, TinyBatch(kLlamaSequences, 2), {true, 99});
}

TEST(LlamaTest, GradientsOfAllWeightsEqualCentralDifferences) {
  for (const bool tied : {false, true}) {
    ModelConfig config = TinyConfig();
    config.shape.tied_embeddings = tied;
    NamedTensors weights = TinyWeights(config, at::kDouble);
    const auto model = Make(config, weights);
    ExpectGradientsMatch(*model, weights, TinyBatch(kLlamaSequences), {});
  }
}

class LlamaDirectoryTest : public testing::Test {
 protected:
  void SetUp() override {
    const std::string& root = directory_.path();
    model_path_ = JoinPath(root, "model");
    adapter_path_ = JoinPath(root, "adapter");
    weights_ = TinyWeights(config_, at::kFloat);
    ASSERT_TRUE(SaveModelDirectory(model_path_, config_, weights_, "{}", "{}").ok());
    const Adapter adapter = TinyLora(config_, at::kFloat);
    ASSERT_TRUE(MakeDirectories(adapter_path_).ok());
    ASSERT_TRUE(
        WriteFileAtomic(JoinPath(adapter_path_, kAdapterConfigFile), adapter.config_text).ok());
    ASSERT_TRUE(SaveWeights(JoinPath(adapter_path_, kAdapterWeightsFile), adapter.tensors).ok());
  }

  TemporaryDirectory directory_ = std::move(TemporaryDirectory::Create("llama-test")).value();
  ModelConfig config_ = TinyConfig();
  NamedTensors weights_;
  std::string model_path_, adapter_path_;
};

TEST_F(LlamaDirectoryTest, LossOfADirectoryEqualsThePlainReference) {
  const auto loaded = LoadWeights(JoinPath(model_path_, "model.safetensors"), at::kFloat);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  const auto model = Make(config_, *loaded);
  double expected = 0;
  for (const auto& ids : kLlamaSequences) {
    expected += reference::LossSum(reference::Logits(model_path_, ids), ids, 2);
  }
  EXPECT_NEAR(Loss(*model, TinyBatch(kLlamaSequences, 2)), expected, 1e-5);
}

TEST_F(LlamaDirectoryTest, EachVariantEqualsThePlainReference) {
  for (const char* variant :
       {R"({"model_type": "qwen2"})", R"({"model_type": "qwen3"})",
        R"({"model_type": "mistral", "sliding_window": 3})",
        R"({"attention_bias": true, "mlp_bias": true})",
        R"({"rope_scaling": {"rope_type": "linear", "factor": 2.5}})",
        R"({"rope_scaling": {"rope_type": "llama3", "factor": 4, "low_freq_factor": 1,
               "high_freq_factor": 2, "original_max_position_embeddings": 12}})"}) {
    SCOPED_TRACE(variant);
    auto object = nlohmann::json::parse(config_.ToJson());
    object.update(nlohmann::json::parse(variant));
    const auto config = ModelConfig::FromJson(object.dump());
    ASSERT_TRUE(config.ok()) << config.status();
    const std::string path = JoinPath(directory_.path(), std::to_string(HashName(variant)));
    ASSERT_TRUE(
        SaveModelDirectory(path, *config, TinyWeights(*config, at::kFloat), "{}", "{}").ok());
    ASSERT_TRUE(WriteFileAtomic(JoinPath(path, "config.json"), object.dump()).ok());
    const auto model = LoadModel(path, *config, Adapter());
    ASSERT_TRUE(model.ok()) << model.status();
    double expected = 0;
    for (const auto& ids : kLlamaSequences) {
      expected += reference::LossSum(reference::Logits(path, ids), ids, 2);
    }
    EXPECT_NEAR(Loss(**model, TinyBatch(kLlamaSequences, 2)), expected, 1e-4);
  }
}

TEST_F(LlamaDirectoryTest, LoraEqualsTheMergedReference) {
  const auto model = Make(config_, weights_);
  const auto adapter = LoadAdapter(adapter_path_, config_.shape);
  ASSERT_TRUE(adapter.ok()) << adapter.status();
  AttachLora(*adapter, model.get());
  double expected = 0;
  for (const auto& ids : kLlamaSequences) {
    expected += reference::LossSum(reference::Logits(model_path_, ids, adapter_path_), ids, 1);
  }
  EXPECT_NEAR(Loss(*model, TinyBatch(kLlamaSequences)), expected, 1e-4);
}

TEST_F(LlamaDirectoryTest, ReadsHalfPrecisionWeightsAsFloat) {
  const std::string path = JoinPath(directory_.path(), "half.safetensors");
  const at::Tensor values = at::tensor({1.5F, -0.25F, 3.0F});
  const auto as = [](const at::Tensor& tensor, const char* name, DType dtype) {
    HostTensor host{{name, dtype, {3}}, std::vector<std::byte>(6)};
    std::memcpy(host.bytes.data(), tensor.data_ptr(), 6);
    return host;
  };
  ASSERT_TRUE(WriteSafetensors(path, {as(values.to(at::kBFloat16), "b", DType::kBf16),
                                      as(values.to(at::kHalf), "h", DType::kF16)})
                  .ok());
  const auto loaded = LoadWeights(path, at::kFloat);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_TRUE(at::equal(loaded->at("b"), values));
  EXPECT_TRUE(at::equal(loaded->at("h"), values));
}

TEST_F(LlamaDirectoryTest, RefusesWeightsOfAnotherShape) {
  weights_["model.norm.weight"] = at::ones({9});
  weights_.erase("lm_head.weight");
  const auto model = Llama::Create(config_, weights_);
  ASSERT_FALSE(model.ok());
  EXPECT_THAT(model.status().message(), testing::HasSubstr("model.norm.weight"));
  EXPECT_THAT(model.status().message(), testing::HasSubstr("lm_head.weight"));
}

TEST(LlamaTest, AdapterWithZeroBLeavesLogitsUnchanged) {
  const ModelConfig config = TinyConfig();
  const NamedTensors weights = TinyWeights(config, at::kFloat);
  const auto plain = Make(config, weights);
  const auto adapted = Make(config, weights);
  Adapter adapter = TinyLora(config, at::kFloat);
  for (auto& [name, tensor] : adapter.tensors) {
    if (name.ends_with("lora_B.weight")) tensor.zero_();
  }
  AttachLora(adapter, adapted.get());
  const PackedBatch batch = TinyBatch(kLlamaSequences);
  EXPECT_TRUE(at::equal(Logits(*plain, batch), Logits(*adapted, batch)));
}

TEST(LlamaTest, BaseWeightsGetNoGradientBuffers) {
  const ModelConfig config = TinyConfig();
  const NamedTensors weights = TinyWeights(config, at::kFloat);
  const auto model = Make(config, weights);
  Adapter adapter = TinyLora(config, at::kFloat);
  AttachLora(adapter, model.get());
  RequireGradients(&adapter.tensors);
  LossSum(*model, TinyBatch(kLlamaSequences), {}).backward();
  for (const auto& [name, tensor] : weights) EXPECT_FALSE(tensor.grad().defined()) << name;
  for (const auto& [name, tensor] : adapter.tensors) EXPECT_TRUE(tensor.grad().defined()) << name;
}

TEST(LlamaTest, PackedSequencesDoNotSeeEachOther) {
  const ModelConfig config = TinyConfig();
  const auto model = Make(config, TinyWeights(config, at::kDouble));
  double apart = 0;
  for (const auto& ids : kLlamaSequences) apart += Loss(*model, TinyBatch({ids}));
  EXPECT_NEAR(Loss(*model, TinyBatch(kLlamaSequences)), apart, 1e-12);
}

TEST(LlamaTest, LaterTokensDoNotChangeEarlierLogits) {
  const ModelConfig config = TinyConfig();
  const auto model = Make(config, TinyWeights(config, at::kDouble));
  const at::Tensor one = Logits(*model, TinyBatch({{0, 5, 7, 2, 1}}));
  const at::Tensor other = Logits(*model, TinyBatch({{0, 5, 7, 9, 1}}));
  EXPECT_TRUE(at::equal(one.slice(0, 0, 3), other.slice(0, 0, 3)));
  EXPECT_FALSE(at::equal(one[3], other[3]));
}

TEST(LlamaTest, FloatAgreesWithDoubleOnLongSequences) {
  ModelConfig config = TinyConfig();
  config.shape.head_dim = 40;  // more than one block of the attention loops, and a rest
  std::vector<std::int32_t> ids;
  for (std::int32_t i = 0; i < 100; ++i) ids.push_back(i * 7 % 13);
  const auto wide = Make(config, TinyWeights(config, at::kDouble));
  const auto narrow = Make(config, TinyWeights(config, at::kFloat));
  EXPECT_TRUE(at::allclose(Logits(*wide, TinyBatch({ids})),
                           Logits(*narrow, TinyBatch({ids})).to(at::kDouble), 1e-3, 1e-3));
}

}  // namespace
}  // namespace tributary::trainer

#include "trainer/base_weights.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/files.h"
#include "tests/trainer/tiny_model.h"
#include "trainer/frozen_matrix.h"
#include "trainer/generation.h"
#include "trainer/model_directory.h"

namespace tributary::trainer {
namespace {

using at::Tensor;
using testing::HasSubstr;

const std::vector<std::vector<std::int32_t>> kTwoSequences = {{0, 5, 7, 2, 9, 1}, {0, 3, 1}};

// A model directory with all weights in BF16.
class BaseWeightsTest : public testing::Test {
 protected:
  void Write(const char* type) {
    config_ = TinyConfigOf(type);
    ASSERT_TRUE(RemoveTree(path_).ok());
    const NamedTensors weights = TinyWeights(config_, at::kFloat);
    ASSERT_TRUE(SaveModelDirectory(path_, config_, weights, "{}", "{}").ok());
    Manifest manifest = ManifestOf(weights);
    for (TensorSpec& spec : manifest) spec.dtype = DType::kBf16;
    auto writer =
        SafetensorsWriter::Create(JoinPath(path_, kModelWeightsFile), manifest, {{"format", "pt"}});
    ASSERT_TRUE(writer.ok()) << writer.status();
    for (const auto& [name, tensor] : weights) {
      const Tensor narrow = tensor.to(at::kBFloat16).contiguous();
      const auto* bytes = static_cast<const std::byte*>(narrow.data_ptr());
      ASSERT_TRUE(writer->Append({bytes, static_cast<std::size_t>(narrow.numel()) * 2}).ok());
    }
    ASSERT_TRUE(writer->Finish().ok());
  }

  NamedTensors Load(BasePrecision precision, const WidenedWeights& widened = {}) {
    return std::move(LoadBaseWeights(path_, config_.shape, precision, widened)).value();
  }

  // The loss, and the gradients of a LoRA adapter, of a model over `weights`.
  NamedTensors Outcome(const NamedTensors& weights) {
    auto model = std::move(CreateModel(config_, weights)).value();
    Adapter adapter = TinyLora(config_, at::kFloat);
    AttachLora(adapter, model.get());
    const NamedTensors trained = RequireGradients(&adapter.tensors);
    const PackedBatch batch = TinyBatch(kTwoSequences);
    const Tensor loss = LossSum(*model, batch);
    loss.backward();
    NamedTensors outcome = {{"loss", loss.detach()}, {"logits", Logits(*model, batch).detach()}};
    for (const auto& [name, tensor] : trained) outcome[name] = tensor.grad();
    return outcome;
  }

  static void ExpectClose(const NamedTensors& one, const NamedTensors& other) {
    for (const auto& [name, tensor] : one) {
      EXPECT_TRUE(at::allclose(tensor, other.at(name), 1e-4, 1e-5)) << name;
    }
  }

  TemporaryDirectory directory_ = std::move(TemporaryDirectory::Create("base-test")).value();
  std::string path_ = JoinPath(directory_.path(), "model");
  ModelConfig config_;
};

TEST_F(BaseWeightsTest, StoredGivesWhatFp32Gives) {
  for (const char* type : {"llama", "qwen2", "qwen3", "gpt2"}) {
    SCOPED_TRACE(type);
    Write(type);
    const NamedTensors stored = Load(BasePrecision::kStored);
    for (const auto& [name, tensor] : stored) {
      EXPECT_EQ(tensor.scalar_type(), tensor.dim() == 1 ? at::kFloat : at::kBFloat16) << name;
    }
    ExpectClose(Outcome(stored), Outcome(Load(BasePrecision::kFp32)));
  }
}

TEST_F(BaseWeightsTest, WritesTheSameTextFromStoredWeights) {
  Write("llama");
  const auto text = [&](BasePrecision precision) {
    const auto model = std::move(CreateModel(config_, Load(precision))).value();
    const at::NoGradGuard no_grad;
    return std::move(Generate(*model, {0, 5}, {}, 64, {.max_tokens = 12}, [] { return false; }))
        .value();
  };
  EXPECT_EQ(text(BasePrecision::kStored), text(BasePrecision::kFp32));
  EXPECT_EQ(text(BasePrecision::kStored).size(), 12U);
}

TEST_F(BaseWeightsTest, Int8GivesWhatItsWidenedWeightsGiveAndNearlyWhatFp32Gives) {
  for (const char* type : {"llama", "qwen2", "qwen3", "gpt2"}) {
    SCOPED_TRACE(type);
    Write(type);
    const NamedTensors int8 = Load(BasePrecision::kInt8);
    NamedTensors widened = Load(BasePrecision::kFp32);
    const double exact = Outcome(widened).at("loss").item<double>();
    std::int64_t linears = 0;
    for (auto& [name, tensor] : widened) {
      const Tensor& values = int8.at(name);
      if (values.scalar_type() != at::kChar) continue;
      tensor = Widen({values, int8.at(name + std::string(kScalesSuffix))}, at::kFloat);
      ++linears;
    }
    EXPECT_GE(linears, 2 * 4);
    const NamedTensors outcome = Outcome(int8);
    ExpectClose(outcome, Outcome(widened));
    EXPECT_NEAR(outcome.at("loss").item<double>(), exact, 0.01 * exact);
  }
}

TEST_F(BaseWeightsTest, WeightsWithProductsStayInFloat) {
  Write("llama");
  const std::string module = "model.layers.0.self_attn.q_proj";
  const std::string product = JoinPath(directory_.path(), "product.safetensors");
  const std::string prefix = "base_model.model." + module;
  ASSERT_TRUE(SaveWeights(product, {{prefix + ".merged_A.weight", at::ones({2, 8})},
                                    {prefix + ".merged_B.weight", at::ones({16, 2})}})
                  .ok());
  const auto names = WeightsWithProducts({product});
  ASSERT_TRUE(names.ok()) << names.status();
  EXPECT_THAT(*names, testing::ElementsAre(module + ".weight"));
  const NamedTensors weights = Load(BasePrecision::kInt8, *names);
  EXPECT_EQ(weights.at(module + ".weight").scalar_type(), at::kFloat);
  EXPECT_EQ(weights.at("model.layers.1.self_attn.q_proj.weight").scalar_type(), at::kChar);
  const Adapter adapter = TinyLora(config_, at::kFloat);
  const auto loss = [&](BasePrecision precision) {
    const auto model = LoadModel(path_, config_, adapter, {product}, precision);
    EXPECT_TRUE(model.ok()) << model.status();
    return LossSum(**model, TinyBatch(kTwoSequences)).item<double>();
  };
  EXPECT_NEAR(loss(BasePrecision::kStored), loss(BasePrecision::kFp32), 1e-4);
}

TEST_F(BaseWeightsTest, BytesAreCountedAsTheyAreKept) {
  Write("llama");
  const auto files = ModelFiles::Open(path_, config_.shape);
  ASSERT_TRUE(files.ok());
  const WidenedWeights widened = {"model.layers.0.mlp.up_proj.weight"};
  for (const auto precision :
       {BasePrecision::kFp32, BasePrecision::kStored, BasePrecision::kInt8}) {
    std::uint64_t bytes = 0;
    for (const auto& [name, tensor] : Load(precision, widened)) bytes += tensor.nbytes();
    EXPECT_EQ(BaseWeightBytes(files->weights(), config_.shape, precision, widened), bytes);
  }
}

TEST_F(BaseWeightsTest, AFullAdapterHasNoBaseToNarrow) {
  Write("llama");
  Adapter full;
  full.config.kind = AdapterKind::kFull;
  full.tensors = TinyWeights(config_, at::kFloat);
  EXPECT_THAT(LoadModel(path_, config_, full, {}, BasePrecision::kInt8).status().message(),
              HasSubstr("must be fp32"));
  EXPECT_THAT(ParseBasePrecision("int4").status().message(),
              HasSubstr("known: fp32, stored, int8"));
}

}  // namespace
}  // namespace tributary::trainer

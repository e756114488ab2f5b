#include "core/model_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

namespace tributary {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Four weights: wte [3, 2], wpe [2, 2], ln_f.weight and ln_f.bias [2]; no layers are needed here.
ModelShape SmallShape() {
  ModelShape shape;
  shape.model_type = "gpt2";
  shape.vocab_size = 3;
  shape.hidden_size = 2;
  shape.positions = 2;
  shape.tied_embeddings = true;
  return shape;
}

template <typename T>
HostTensor Make(const std::string& name, DType dtype, std::vector<std::int64_t> shape,
                const std::vector<T>& values) {
  HostTensor tensor{{name, dtype, std::move(shape)},
                    std::vector<std::byte>(values.size() * sizeof(T))};
  std::memcpy(tensor.bytes.data(), values.data(), tensor.bytes.size());
  return tensor;
}

class ModelFilesTest : public testing::Test {
 protected:
  void Write(const std::string& name, const std::vector<HostTensor>& tensors) {
    ASSERT_TRUE(WriteSafetensors(JoinPath(directory_.path(), name), tensors).ok());
  }
  std::vector<float> Values(const ModelFiles& files, const std::string& name) {
    const ModelWeight* weight = files.Find(name);
    EXPECT_NE(weight, nullptr) << name;
    std::vector<float> values(weight->spec.ElementCount());
    CopyFloats(*weight, 0, values);
    return values;
  }

  TemporaryDirectory directory_ = std::move(TemporaryDirectory::Create("model-files")).value();
  HostTensor embedding_ = Make<std::uint16_t>("transformer.wte.weight", DType::kBf16, {3, 2},
                                              {0x3f80, 0xc000, 0, 0x3f00, 0x7f80, 0x4040});
  HostTensor positions_ = Make<std::uint16_t>("transformer.wpe.weight", DType::kF16, {2, 2},
                                              {0x3c00, 0x8001, 0xfbff, 0x3555});
  HostTensor norm_ = Make<float>("transformer.ln_f.weight", DType::kF32, {2}, {1.5F, 2});
  HostTensor bias_ = Make<double>("transformer.ln_f.bias", DType::kF64, {2}, {0.25, -4});
};

TEST_F(ModelFilesTest, ReadsSeveralPartsOfAllFloatingTypes) {
  Write("model-00001-of-00002.safetensors", {embedding_, positions_});
  Write("model-00002-of-00002.safetensors", {norm_, bias_});
  ASSERT_TRUE(WriteFileAtomic(JoinPath(directory_.path(), kModelIndexFile), R"({"metadata": {},
      "weight_map": {"transformer.wte.weight": "model-00001-of-00002.safetensors",
      "transformer.wpe.weight": "model-00001-of-00002.safetensors",
      "transformer.ln_f.weight": "model-00002-of-00002.safetensors",
      "transformer.ln_f.bias": "model-00002-of-00002.safetensors"}})")
                  .ok());
  const auto files = ModelFiles::Open(directory_.path(), SmallShape());
  ASSERT_TRUE(files.ok()) << files.status();
  EXPECT_THAT(Values(*files, "transformer.wte.weight"),
              ElementsAre(1, -2, 0, 0.5, std::numeric_limits<float>::infinity(), 3));
  EXPECT_THAT(Values(*files, "transformer.wpe.weight"),
              ElementsAre(1, -0x1p-24F, -65504, 0.333251953125F));
  EXPECT_THAT(Values(*files, "transformer.ln_f.weight"), ElementsAre(1.5, 2));
  EXPECT_THAT(Values(*files, "transformer.ln_f.bias"), ElementsAre(0.25, -4));
}

TEST_F(ModelFilesTest, ReadsFilesOfTheBaseModelAloneAndPassesOverTheRest) {
  for (HostTensor* tensor : {&embedding_, &positions_, &norm_, &bias_}) {
    tensor->spec.name = tensor->spec.name.substr(std::string("transformer.").size());
  }
  Write("model.safetensors", {embedding_, positions_, norm_, bias_,
                              Make<std::int64_t>("h.0.attn.bias", DType::kI64, {1}, {7})});
  const auto files = ModelFiles::Open(directory_.path(), SmallShape());
  ASSERT_TRUE(files.ok()) << files.status();
  EXPECT_EQ(files->weights().size(), 4U);
  EXPECT_THAT(Values(*files, "transformer.ln_f.weight"), ElementsAre(1.5, 2));
}

TEST_F(ModelFilesTest, NamesWhatIsMissingOrOfAnotherShape) {
  norm_.spec.shape = {1, 2};
  Write("model.safetensors", {embedding_, positions_, norm_});
  const Status status = ModelFiles::Open(directory_.path(), SmallShape()).status();
  EXPECT_THAT(status.message(), HasSubstr("transformer.ln_f.weight"));
  EXPECT_THAT(status.message(), HasSubstr("transformer.ln_f.bias"));
}

TEST_F(ModelFilesTest, RefusesPartsOutsideTheDirectoryAndPickledModels) {
  EXPECT_THAT(ModelFiles::Open(directory_.path(), SmallShape()).status().message(),
              HasSubstr("has neither model.safetensors nor model.safetensors.index.json"));
  ASSERT_TRUE(WriteFileAtomic(JoinPath(directory_.path(), "pytorch_model.bin"), "x").ok());
  EXPECT_THAT(ModelFiles::Open(directory_.path(), SmallShape()).status().message(),
              HasSubstr("save the model as safetensors"));
  ASSERT_TRUE(WriteFileAtomic(JoinPath(directory_.path(), kModelIndexFile),
                              R"({"weight_map": {"a": "../x.safetensors", "b": 1}})")
                  .ok());
  EXPECT_THAT(ModelFiles::Open(directory_.path(), SmallShape()).status().message(),
              HasSubstr("is no file of the directory"));
}

}  // namespace
}  // namespace tributary

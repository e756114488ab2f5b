#include "trainer/base_weights.h"

#include <ATen/ATen.h>

#include "core/safetensors.h"
#include "core/task_contract.h"
#include "trainer/frozen_matrix.h"

namespace tributary::trainer {
namespace {

// How one weight is kept.
enum class Form : std::uint8_t { kFloat, kStored, kInt8 };

// Decides for every weight of a model.
class Forms {
 public:
  Forms(const ModelShape& shape, BasePrecision precision, const WidenedWeights& widened)
      : precision_(precision), widened_(widened) {
    for (const ModelModule& module : shape.LinearModules())
      linears_.insert(module.name + ".weight");
  }

  Form Of(const TensorSpec& spec) const {
    if (precision_ == BasePrecision::kFp32 || spec.shape.size() < 2) return Form::kFloat;
    if (widened_.contains(spec.name)) return Form::kFloat;
    if (precision_ == BasePrecision::kInt8 && linears_.contains(spec.name)) return Form::kInt8;
    const bool narrow = spec.dtype == DType::kF16 || spec.dtype == DType::kBf16;
    return narrow ? Form::kStored : Form::kFloat;
  }

 private:
  BasePrecision precision_;
  const WidenedWeights& widened_;
  std::set<std::string, std::less<>> linears_;
};

std::uint64_t ScaleCount(const std::vector<std::int64_t>& shape) {
  return static_cast<std::uint64_t>(shape[0] * ((shape[1] + kScaleColumns - 1) / kScaleColumns));
}

}  // namespace

Result<BasePrecision> ParseBasePrecision(std::string_view name) {
  if (name == "fp32") return BasePrecision::kFp32;
  if (name == "stored") return BasePrecision::kStored;
  if (name == "int8") return BasePrecision::kInt8;
  return InvalidArgumentError("\"" + std::string(name) +
                              "\" is no base precision; known: fp32, stored, int8");
}

Result<WidenedWeights> WeightsWithProducts(const std::vector<std::string>& merged) {
  constexpr std::string_view kPrefix = "base_model.model.";
  WidenedWeights names;
  for (const std::string& path : merged) {
    TRIBUTARY_ASSIGN_OR_RETURN(const SafetensorsFile file, SafetensorsFile::Open(path));
    for (const SafetensorsEntry& entry : file.header().tensors) {
      const std::string_view name = entry.spec.name;
      if (!name.starts_with(kPrefix) || !name.ends_with(kMergedSuffixA)) continue;
      const std::size_t length = name.size() - kPrefix.size() - kMergedSuffixA.size();
      names.insert(std::string(name.substr(kPrefix.size(), length)) + ".weight");
    }
  }
  return names;
}

Result<NamedTensors> LoadBaseWeights(const std::string& directory, const ModelShape& shape,
                                     BasePrecision precision, const WidenedWeights& widened,
                                     at::Device device) {
  TRIBUTARY_ASSIGN_OR_RETURN(const ModelFiles files, ModelFiles::Open(directory, shape));
  const Forms forms(shape, precision, widened);
  NamedTensors tensors;
  for (const ModelWeight& weight : files.weights()) {
    const std::string& name = weight.spec.name;
    switch (forms.Of(weight.spec)) {
      case Form::kFloat:
        tensors[name] = ToTensor(weight, at::kFloat).to(device);
        break;
      case Form::kStored:
        tensors[name] = StoredTensor(weight).to(device);
        break;
      case Form::kInt8: {
        FrozenMatrix matrix = QuantizeInt8(StoredTensor(weight));
        weight.file->Release(weight.bytes);
        tensors[name] = matrix.values.to(device);
        tensors[name + std::string(kScalesSuffix)] = matrix.scales.to(device);
        break;
      }
    }
  }
  return tensors;
}

std::uint64_t BaseWeightBytes(const std::vector<ModelWeight>& stored, const ModelShape& shape,
                              BasePrecision precision, const WidenedWeights& widened) {
  const Forms forms(shape, precision, widened);
  std::uint64_t bytes = 0;
  for (const ModelWeight& weight : stored) {
    const Form form = forms.Of(weight.spec);
    const std::uint64_t each = form == Form::kFloat ? 4 : form == Form::kStored ? 2 : 1;
    bytes += weight.spec.ElementCount() * each;
    if (form == Form::kInt8) bytes += ScaleCount(weight.spec.shape) * sizeof(float);
  }
  return bytes;
}

}  // namespace tributary::trainer

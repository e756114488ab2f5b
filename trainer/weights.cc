#include "trainer/weights.h"

#include <ATen/ATen.h>

#include <cstdint>
#include <cstring>
#include <optional>

namespace tributary::trainer {
namespace {

std::optional<at::ScalarType> FloatingType(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return at::kFloat;
    case DType::kF64:
      return at::kDouble;
    case DType::kF16:
      return at::kHalf;
    case DType::kBf16:
      return at::kBFloat16;
    default:
      return std::nullopt;
  }
}

}  // namespace

at::Tensor StoredTensor(const ModelWeight& weight) {
  const auto options = at::TensorOptions().dtype(*FloatingType(weight.spec.dtype));
  const auto address = reinterpret_cast<std::uintptr_t>(weight.bytes.data());
  if (address % DTypeBytes(weight.spec.dtype) != 0) {  // kernels ask for more than the format does
    at::Tensor copy = at::empty(weight.spec.shape, options);
    std::memcpy(copy.data_ptr(), weight.bytes.data(), weight.bytes.size());
    weight.file->Release(weight.bytes);
    return copy;
  }
  // from_blob asks for a mutable pointer; nothing here writes through it.
  auto* bytes = const_cast<std::byte*>(weight.bytes.data());
  return at::from_blob(
      bytes, weight.spec.shape, [file = weight.file](void*) {}, options);
}

at::Tensor ToTensor(const ModelWeight& weight, at::ScalarType dtype) {
  const at::Tensor view = StoredTensor(weight);
  if (view.scalar_type() == dtype) return view;
  at::Tensor converted = view.to(dtype);
  weight.file->Release(weight.bytes);
  return converted;
}

Result<NamedTensors> LoadWeights(const std::string& path, at::ScalarType dtype) {
  TRIBUTARY_ASSIGN_OR_RETURN(SafetensorsFile opened,
                             SafetensorsFile::Open(path, OnDamage::kEndProcess, Alignment::kAny));
  const auto file = std::make_shared<const SafetensorsFile>(std::move(opened));
  NamedTensors tensors;
  for (const SafetensorsEntry& entry : file->header().tensors) {
    if (!FloatingType(entry.spec.dtype)) {
      return InvalidArgumentError(path + ": " + entry.spec.name + ": dtype " +
                                  std::string(DTypeName(entry.spec.dtype)) +
                                  " is not supported; supported: F32, F16, BF16, F64");
    }
    tensors[entry.spec.name] = ToTensor({entry.spec, file, file->Bytes(entry)}, dtype);
  }
  return tensors;
}

Manifest ManifestOf(const NamedTensors& tensors) {
  Manifest manifest;
  for (const auto& [name, tensor] : tensors) {
    manifest.push_back({name, DType::kF32, tensor.sizes().vec()});
  }
  return manifest;
}

Status SaveWeights(const std::string& path, const NamedTensors& tensors) {
  TRIBUTARY_ASSIGN_OR_RETURN(
      SafetensorsWriter writer,
      SafetensorsWriter::Create(path, ManifestOf(tensors), {{"format", "pt"}}));
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor whole = tensor.detach().to(at::kFloat).contiguous();
    const auto* bytes = static_cast<const std::byte*>(whole.data_ptr());
    TRIBUTARY_RETURN_IF_ERROR(
        writer.Append({bytes, static_cast<std::size_t>(whole.numel()) * sizeof(float)}));
  }
  return writer.Finish().status();
}

}  // namespace tributary::trainer

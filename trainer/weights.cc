#include "trainer/weights.h"

#include <ATen/ATen.h>

namespace tributary::trainer {
namespace {

Result<at::ScalarType> FloatingType(const TensorSpec& spec) {
  switch (spec.dtype) {
    case DType::kF32:
      return at::kFloat;
    case DType::kF64:
      return at::kDouble;
    case DType::kF16:
      return at::kHalf;
    case DType::kBf16:
      return at::kBFloat16;
    default:
      return InvalidArgumentError(spec.name + ": dtype " + std::string(DTypeName(spec.dtype)) +
                                  " is not supported; supported: F32, F16, BF16, F64");
  }
}

}  // namespace

Result<NamedTensors> LoadWeights(const std::string& path, at::ScalarType dtype) {
  TRIBUTARY_ASSIGN_OR_RETURN(SafetensorsFile opened, SafetensorsFile::Open(path));
  const auto file = std::make_shared<const SafetensorsFile>(std::move(opened));
  NamedTensors tensors;
  for (const SafetensorsEntry& entry : file->header().tensors) {
    const Result<at::ScalarType> stored = FloatingType(entry.spec);
    if (!stored.ok()) return stored.status().Annotate(path);
    // from_blob asks for a mutable pointer; nothing here writes through it.
    auto* bytes = const_cast<std::byte*>(file->Bytes(entry).data());
    const at::Tensor view = at::from_blob(
        bytes, entry.spec.shape, [file](void*) {}, at::TensorOptions().dtype(*stored));
    tensors[entry.spec.name] = view.to(dtype);
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

#include "core/tensor_file.h"

#include <algorithm>
#include <vector>

#include "core/files.h"

namespace tributary {
namespace {

constexpr std::size_t kBlock = std::size_t{64} << 10;  // elements

}  // namespace

Result<SafetensorsWriter::Written> WriteTensorFile(const std::string& path, Manifest manifest,
                                                   const TensorValues& values) {
  TRIBUTARY_ASSIGN_OR_RETURN(SafetensorsWriter writer,
                             SafetensorsWriter::Create(path, std::move(manifest)));
  std::vector<float> block(kBlock);
  for (const TensorSpec& spec : Manifest(writer.manifest())) {
    const std::size_t size = spec.ElementCount();
    for (std::size_t at = 0; at < size; at += kBlock) {
      const std::span<float> out(block.data(), std::min(kBlock, size - at));
      values(spec, at, out);
      TRIBUTARY_RETURN_IF_ERROR(writer.Append(std::as_bytes(out)));
    }
  }
  return writer.Finish();
}

Result<TensorReader> TensorReader::Open(const std::string& path) {
  TensorReader reader;
  if (path.empty() || !PathExists(path)) return reader;
  TRIBUTARY_ASSIGN_OR_RETURN(reader.file_, SafetensorsFile::Open(path));
  for (const SafetensorsEntry& entry : reader.file_->header().tensors) {
    if (entry.spec.dtype == DType::kF32) continue;
    return InvalidArgumentError(path + ": tensor " + entry.spec.name + " has dtype " +
                                std::string(DTypeName(entry.spec.dtype)) + "; must be F32");
  }
  return reader;
}

std::span<const float> TensorReader::Find(std::string_view tensor) const {
  if (!file_) return {};
  const SafetensorsEntry* entry = file_->Find(tensor);
  return entry == nullptr ? std::span<const float>() : file_->Floats(*entry);
}

void TensorReader::Release(std::span<const float> part) const {
  if (file_ && !part.empty()) file_->Release(std::as_bytes(part));
}

}  // namespace tributary

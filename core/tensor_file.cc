#include "core/tensor_file.h"

#include <algorithm>
#include <map>
#include <vector>

#include "core/files.h"

namespace tributary {
namespace {

constexpr std::size_t kBlock = std::size_t{64} << 10;  // elements; whole groups of a scale

// As BF16; as I8; or, for F32, the scales of the groups.
Status AppendEncoded(std::span<const float> values, DType dtype, SafetensorsWriter* writer) {
  if (dtype == DType::kBf16) {
    std::vector<std::uint16_t> halves(values.size());
    std::transform(values.begin(), values.end(), halves.begin(), ToBf16);
    return writer->Append(std::as_bytes(std::span(halves)));
  }
  std::vector<float> scales;
  std::vector<std::int8_t> bytes;
  for (std::size_t at = 0; at < values.size(); at += kScaleGroup) {
    const auto group = values.subspan(at, std::min(kScaleGroup, values.size() - at));
    scales.push_back(ScaleOf(group));
    if (dtype == DType::kF32) continue;
    for (const float value : group) bytes.push_back(ToI8(value, scales.back()));
  }
  return writer->Append(dtype == DType::kF32 ? std::as_bytes(std::span(scales))
                                             : std::as_bytes(std::span(bytes)));
}

}  // namespace

Result<SafetensorsWriter::Written> WriteTensorFile(
    const std::string& path, Manifest manifest, const TensorValues& values,
    const std::map<std::string, std::string>& metadata) {
  TRIBUTARY_ASSIGN_OR_RETURN(SafetensorsWriter writer,
                             SafetensorsWriter::Create(path, std::move(manifest), metadata));
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

Result<SafetensorsWriter::Written> WriteEncodedFile(const std::string& path,
                                                    const Manifest& manifest, UpdateDtype dtype,
                                                    const TensorValues& values) {
  if (dtype == UpdateDtype::kF32) return WriteTensorFile(path, manifest, values);
  std::map<std::string, TensorSpec> sources;  // what a tensor of the file is made from
  for (const TensorSpec& spec : manifest) {
    sources[spec.name] = spec;
    if (dtype == UpdateDtype::kI8) sources[ScaleSpec(spec).name] = spec;
  }
  TRIBUTARY_ASSIGN_OR_RETURN(SafetensorsWriter writer,
                             SafetensorsWriter::Create(path, EncodedManifest(manifest, dtype)));
  std::vector<float> block(kBlock);
  for (const TensorSpec& spec : Manifest(writer.manifest())) {
    const TensorSpec& source = sources[spec.name];
    const std::size_t size = source.ElementCount();
    for (std::size_t at = 0; at < size; at += kBlock) {
      const std::span<float> from(block.data(), std::min(kBlock, size - at));
      values(source, at, from);
      TRIBUTARY_RETURN_IF_ERROR(AppendEncoded(from, spec.dtype, &writer));
    }
  }
  return writer.Finish();
}

std::string TensorReader::Metadata(const std::string& key) const {
  if (!file_) return {};
  const auto it = file_->header().metadata.find(key);
  return it == file_->header().metadata.end() ? std::string() : it->second;
}

Result<TensorReader> TensorReader::Open(const std::string& path, OnDamage on_damage) {
  TensorReader reader;
  if (path.empty() || !PathExists(path)) return reader;
  TRIBUTARY_ASSIGN_OR_RETURN(reader.file_, SafetensorsFile::Open(path, on_damage));
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

Status TensorReader::CheckFits(const Manifest& whole) const {
  if (!file_) return OkStatus();
  for (const TensorSpec& want : whole) {
    const SafetensorsEntry* entry = file_->Find(want.name);
    if (entry == nullptr || entry->spec.shape == want.shape) continue;
    return InvalidArgumentError("tensor " + want.name + " has shape " + entry->spec.ShapeText() +
                                "; must be " + want.ShapeText());
  }
  return OkStatus();
}

void TensorReader::Release(std::span<const float> part) const {
  if (file_ && !part.empty()) file_->Release(std::as_bytes(part));
}

}  // namespace tributary

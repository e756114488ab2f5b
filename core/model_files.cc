#include "core/model_files.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>

#include "core/files.h"
#include "core/json.h"
#include "core/text.h"

namespace tributary {
namespace {

using Part = std::shared_ptr<const SafetensorsFile>;

Result<Part> OpenPart(const std::string& path) {
  TRIBUTARY_ASSIGN_OR_RETURN(SafetensorsFile file,
                             SafetensorsFile::Open(path, OnDamage::kEndProcess, Alignment::kAny));
  return std::make_shared<const SafetensorsFile>(std::move(file));
}

// Names of the parts, each once. They stand in the directory itself.
Result<std::vector<std::string>> PartNames(const std::string& index_path) {
  TRIBUTARY_ASSIGN_OR_RETURN(const nlohmann::json index, ReadJsonFile(index_path));
  std::vector<std::string> problems;
  JsonObjectReader reader(index, index_path, &problems);
  std::vector<std::string> names;
  const nlohmann::json& map = reader.Raw("weight_map");
  if (!map.is_object()) reader.Problem("weight_map", "must be an object of tensor names and files");
  for (const auto& [tensor, file] : map.items()) {
    if (!map.is_object()) break;
    const std::string name = file.is_string() ? file.get<std::string>() : "";
    if (name.empty() || name.find('/') != std::string::npos) {
      reader.Problem("weight_map", Excerpt(tensor) + ": " + Excerpt(file.dump()) +
                                       " is no file of the directory");
    } else {
      names.push_back(name);
    }
    if (problems.size() >= 5) break;
  }
  TRIBUTARY_RETURN_IF_ERROR(ProblemsToStatus(problems));
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

Result<std::vector<Part>> OpenParts(const std::string& directory) {
  const std::string single = JoinPath(directory, kModelWeightsFile);
  const std::string index = JoinPath(directory, kModelIndexFile);
  std::vector<Part> parts;
  if (PathExists(single)) {
    TRIBUTARY_ASSIGN_OR_RETURN(parts.emplace_back(), OpenPart(single));
    return parts;
  }
  if (!PathExists(index)) {
    const bool pickled = PathExists(JoinPath(directory, "pytorch_model.bin")) ||
                         PathExists(JoinPath(directory, "pytorch_model.bin.index.json"));
    return NotFoundError(
        directory + ": has neither " + std::string(kModelWeightsFile) + " nor " +
        std::string(kModelIndexFile) +
        (pickled ? "; pytorch_model.bin is not read: save the model as safetensors" : ""));
  }
  TRIBUTARY_ASSIGN_OR_RETURN(const auto names, PartNames(index));
  for (const std::string& name : names) {
    TRIBUTARY_ASSIGN_OR_RETURN(parts.emplace_back(),
                               OpenPart(JoinPath(directory, name)).Annotate(index));
  }
  return parts;
}

bool IsFloating(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBf16 ||
         dtype == DType::kF64;
}

float HalfToFloat(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000U) << 16;
  const std::uint32_t exponent = (half >> 10) & 0x1fU;
  const std::uint32_t mantissa = half & 0x3ffU;
  if (exponent == 0) {  // zero and subnormal: mantissa * 2^-24
    const float value = static_cast<float>(mantissa) * 0x1p-24F;
    return sign != 0 ? -value : value;
  }
  const std::uint32_t wide = exponent == 0x1fU ? 0xffU : exponent + 112;
  return std::bit_cast<float>(sign | (wide << 23) | (mantissa << 13));
}

template <typename Stored, typename Convert>
void CopyAs(std::span<const std::byte> bytes, std::size_t offset, std::span<float> out,
            const Convert& convert) {
  const std::byte* from = bytes.data() + offset * sizeof(Stored);
  for (std::size_t i = 0; i < out.size(); ++i) {
    Stored value;
    std::memcpy(&value, from + i * sizeof(Stored), sizeof value);
    out[i] = convert(value);
  }
}

}  // namespace

Result<ModelFiles> ModelFiles::Open(const std::string& directory, const ModelShape& shape) {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<Part> parts, OpenParts(directory));
  ModelFiles files;
  const Manifest needed = shape.AllWeights();
  Manifest present;
  std::vector<std::string> problems;
  for (const TensorSpec& spec : needed) {
    const std::string_view name = spec.name;
    const std::string_view short_name =
        name.starts_with(shape.BasePrefix()) ? name.substr(shape.BasePrefix().size()) : name;
    for (const Part& part : parts) {
      const SafetensorsEntry* entry = part->Find(name);
      if (entry == nullptr) entry = part->Find(short_name);
      if (entry == nullptr) continue;
      present.push_back({spec.name, DType::kF32, entry->spec.shape});
      if (!IsFloating(entry->spec.dtype)) {
        problems.push_back(spec.name + ": dtype " + std::string(DTypeName(entry->spec.dtype)) +
                           " is not supported; supported: F32, F16, BF16, F64");
      }
      files.weights_.push_back(
          {{spec.name, entry->spec.dtype, entry->spec.shape}, part, part->Bytes(*entry)});
      break;
    }
  }
  TRIBUTARY_RETURN_IF_ERROR(CheckManifest(needed, present).Annotate(directory));
  TRIBUTARY_RETURN_IF_ERROR(ProblemsToStatus(problems).Annotate(directory));
  return files;
}

const ModelWeight* ModelFiles::Find(std::string_view name) const {
  const auto it = std::lower_bound(
      weights_.begin(), weights_.end(), name,
      [](const ModelWeight& w, std::string_view key) { return w.spec.name < key; });
  return it != weights_.end() && it->spec.name == name ? &*it : nullptr;
}

void CopyFloats(const ModelWeight& weight, std::size_t offset, std::span<float> out) {
  switch (weight.spec.dtype) {
    case DType::kF64:
      return CopyAs<double>(weight.bytes, offset, out,
                            [](double v) { return static_cast<float>(v); });
    case DType::kF16:
      return CopyAs<std::uint16_t>(weight.bytes, offset, out, HalfToFloat);
    case DType::kBf16:
      return CopyAs<std::uint16_t>(weight.bytes, offset, out, [](std::uint16_t v) {
        return std::bit_cast<float>(static_cast<std::uint32_t>(v) << 16);
      });
    default:
      return CopyAs<float>(weight.bytes, offset, out, [](float v) { return v; });
  }
}

}  // namespace tributary

#include "aggregators/update_file.h"

#include <algorithm>

#include "aggregators/kernels.h"
#include "aggregators/module_list.h"

namespace tributary::aggregators {
namespace {

template <typename T>
std::span<const T> As(std::span<const std::byte> bytes, std::size_t offset, std::size_t count) {
  return {reinterpret_cast<const T*>(bytes.data()) + offset, count};
}

void WidenGroups(std::span<const std::byte> bytes, std::span<const float> scales,
                 std::size_t offset, std::size_t count, float* out) {
  for (std::size_t at = offset; at < offset + count;) {
    const std::size_t group = at / kScaleGroup;
    const std::size_t end = std::min(offset + count, (group + 1) * kScaleGroup);
    WidenI8(As<std::int8_t>(bytes, at, end - at), scales[group], out + (at - offset));
    at = end;
  }
}

bool Travels(const TensorSpec& spec, const UpdateLayout& layout) {
  const bool a = spec.name.ends_with(kFactorA);
  const bool b = spec.name.ends_with(kFactorB);
  const bool both = layout.frozen == FrozenFactor::kBoth;
  if (a && (both || layout.frozen == FrozenFactor::kA)) return false;
  return !(b && (both || layout.frozen == FrozenFactor::kB || layout.keep_b_local));
}

bool IsFloating(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBf16 ||
         dtype == DType::kI8;
}

// `expected`, in the dtype that the file has it in, and its scales.
Status Expect(const SafetensorsFile& file, TensorSpec expected, Manifest* manifest) {
  if (const SafetensorsEntry* entry = file.Find(expected.name)) {
    if (!IsFloating(entry->spec.dtype)) {
      return InvalidArgumentError("tensor " + expected.name + " has dtype " +
                                  std::string(DTypeName(entry->spec.dtype)) +
                                  "; must be F32, F16, BF16 or I8");
    }
    expected.dtype = entry->spec.dtype;
    if (expected.dtype == DType::kI8) manifest->push_back(ScaleSpec(expected));
  }
  manifest->push_back(std::move(expected));
  return OkStatus();
}

// The specifications of the tensors of an update, in manifest order; an empty name: does not
// travel.
Result<Manifest> TravellingTensors(const UpdateLayout& layout) {
  Manifest tensors = *layout.global;
  if (!layout.ranks.empty()) {
    TRIBUTARY_ASSIGN_OR_RETURN(const auto modules, FindModules(*layout.global));
    const auto rank = static_cast<std::int64_t>(layout.ranks.size());
    for (const ModulePair& module : modules) {
      tensors[module.a].shape[0] = rank;
      tensors[module.b].shape[1] = rank;
    }
  }
  for (TensorSpec& spec : tensors) {
    if (!Travels(spec, layout)) spec.name.clear();
  }
  return tensors;
}

Status CheckLayout(const SafetensorsFile& file, const Manifest& tensors, bool second) {
  Manifest expected;
  for (const TensorSpec& spec : tensors) {
    if (spec.name.empty()) continue;
    TRIBUTARY_RETURN_IF_ERROR(Expect(file, spec, &expected));
    if (!second) continue;
    TensorSpec other = spec;
    other.name = std::string(kSecondPrefix) + spec.name;
    TRIBUTARY_RETURN_IF_ERROR(Expect(file, other, &expected));
  }
  return CheckManifest(expected, file.ToManifest());
}

TensorSource NamedSource(const SafetensorsFile& file, const std::string& name) {
  const SafetensorsEntry* entry = file.Find(name);
  return {&file, entry, file.Find(name + std::string(kScaleSuffix))};
}

}  // namespace

TensorSource::TensorSource(const SafetensorsFile* file, const SafetensorsEntry* entry,
                           const SafetensorsEntry* scale)
    : file_(file), dtype_(entry->spec.dtype), bytes_(file->Bytes(*entry)) {
  if (dtype_ == DType::kI8) scales_ = file->Floats(*scale);
}

std::span<const float> TensorSource::Read(std::size_t offset, std::size_t count,
                                          float* scratch) const {
  if (InPlace()) return As<float>(bytes_, offset, count);
  if (file_ == nullptr) {
    std::fill_n(scratch, count, 0.0F);
  } else if (dtype_ == DType::kF16) {
    WidenF16(As<std::uint16_t>(bytes_, offset, count), scratch);
  } else if (dtype_ == DType::kBf16) {
    WidenBf16(As<std::uint16_t>(bytes_, offset, count), scratch);
  } else {
    WidenGroups(bytes_, scales_, offset, count, scratch);
  }
  return {scratch, count};
}

std::span<const std::uint16_t> TensorSource::Halves(std::size_t offset, std::size_t count) const {
  return As<std::uint16_t>(bytes_, offset, count);
}

void TensorSource::Release(std::size_t offset, std::size_t count) const {
  if (file_ == nullptr) return;
  const std::size_t width = DTypeBytes(dtype_);
  file_->Release(bytes_.subspan(offset * width, count * width));
}

Result<OpenUpdate> OpenUpdateFile(const std::string& path, const UpdateLayout& layout) {
  TRIBUTARY_ASSIGN_OR_RETURN(SafetensorsFile file, SafetensorsFile::Open(path, OnDamage::kReport));
  TRIBUTARY_ASSIGN_OR_RETURN(const Manifest tensors, TravellingTensors(layout));
  TRIBUTARY_RETURN_IF_ERROR(CheckLayout(file, tensors, layout.second));
  OpenUpdate update;
  update.file = std::make_unique<SafetensorsFile>(std::move(file));
  for (const TensorSpec& spec : tensors) {
    const bool there = !spec.name.empty();
    update.tensors.push_back(there ? NamedSource(*update.file, spec.name) : TensorSource());
    if (!layout.second) continue;
    const std::string name = std::string(kSecondPrefix) + spec.name;
    update.second.push_back(there ? NamedSource(*update.file, name) : TensorSource());
  }
  return update;
}

Result<OpenUpdate> OpenVectorFile(const std::string& path, const Manifest& manifest) {
  TRIBUTARY_ASSIGN_OR_RETURN(SafetensorsFile file, SafetensorsFile::Open(path, OnDamage::kReport));
  TRIBUTARY_RETURN_IF_ERROR(CheckManifest(manifest, file.ToManifest()));
  OpenUpdate vector;
  vector.file = std::make_unique<SafetensorsFile>(std::move(file));
  for (const TensorSpec& spec : manifest) {
    vector.tensors.push_back(NamedSource(*vector.file, spec.name));
  }
  return vector;
}

Result<const SafetensorsEntry*> FindScales(const SafetensorsFile& file,
                                           const SafetensorsEntry& entry) {
  const TensorSpec expected = ScaleSpec(entry.spec);
  const SafetensorsEntry* scales = file.Find(expected.name);
  if (scales != nullptr && scales->spec == expected) return scales;
  return InvalidArgumentError("tensor " + entry.spec.name + " has dtype I8 but no tensor " +
                              expected.name + " of dtype F32 and shape " + expected.ShapeText());
}

}  // namespace tributary::aggregators

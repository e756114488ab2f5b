// Spooled files as the passes over a round read them: each tensor of the version, in manifest
// order, as fp32, whatever a site sent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/safetensors.h"
#include "core/status.h"
#include "core/tensor.h"
#include "core/train_directive.h"
#include "core/update_encoding.h"

namespace tributary::aggregators {

// "second.<name>" is a tensor of the second vector that SCAFFOLD's sites send.

// One tensor of one file, or zeros when the file does not have it. Thread-safe. The file outlives
// it.
class TensorSource {
 public:
  TensorSource() = default;  // zeros
  // `scale`: with dtype I8, the tensor of its scales.
  TensorSource(const SafetensorsFile* file, const SafetensorsEntry* entry,
               const SafetensorsEntry* scale);

  // `count` values from `offset` on: in place when the tensor is F32, else written to `scratch`,
  // which holds as many.
  std::span<const float> Read(std::size_t offset, std::size_t count, float* scratch) const;
  // The same as it lies, of a tensor with IsBf16().
  std::span<const std::uint16_t> Halves(std::size_t offset, std::size_t count) const;
  bool IsBf16() const { return dtype_ == DType::kBf16; }
  bool InPlace() const { return dtype_ == DType::kF32 && file_ != nullptr; }
  // Lets the pages leave memory; nobody reads there nor before any more.
  void Release(std::size_t offset, std::size_t count) const;

 private:
  const SafetensorsFile* file_ = nullptr;
  DType dtype_ = DType::kF32;
  std::span<const std::byte> bytes_;
  std::span<const float> scales_;
};

// What an update file must hold.
struct UpdateLayout {
  const Manifest* global = nullptr;
  FrozenFactor frozen = FrozenFactor::kNone;
  bool keep_b_local = false;
  bool second = false;
  std::vector<std::int64_t> ranks;  // that the site trains; empty: all
};

struct OpenUpdate {
  std::unique_ptr<SafetensorsFile> file;
  std::vector<TensorSource> tensors;  // one for each of the global manifest
  std::vector<TensorSource> second;   // likewise, or empty
};

// Invalid argument names up to five differences from the layout.
Result<OpenUpdate> OpenUpdateFile(const std::string& path, const UpdateLayout& layout);

// A version or a state vector: F32, exactly `manifest`.
Result<OpenUpdate> OpenVectorFile(const std::string& path, const Manifest& manifest);

// The scales of an I8 entry; invalid argument when they are missing or of another shape.
Result<const SafetensorsEntry*> FindScales(const SafetensorsFile& file,
                                           const SafetensorsEntry& entry);

}  // namespace tributary::aggregators

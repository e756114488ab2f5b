// Writes safetensors files of F32 tensors whose values a function makes, block by block: memory
// holds one block, whatever the size of the tensors.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/safetensors.h"
#include "core/status.h"
#include "core/update_encoding.h"

namespace tributary {

// Makes the values of `tensor` from element `offset` on, as many as `out` holds.
using TensorValues =
    std::function<void(const TensorSpec& tensor, std::size_t offset, std::span<float> out)>;

// All of `manifest` is F32. The file is durable when this returns.
Result<SafetensorsWriter::Written> WriteTensorFile(
    const std::string& path, Manifest manifest, const TensorValues& values,
    const std::map<std::string, std::string>& metadata = {});

// The same of values that travel as `dtype`: "<name>.scale" comes with every I8 tensor, and
// `values` is asked twice for each block then.
Result<SafetensorsWriter::Written> WriteEncodedFile(const std::string& path,
                                                    const Manifest& manifest, UpdateDtype dtype,
                                                    const TensorValues& values);

// Files of F32 tensors that are read by name. An absent file or tensor reads as zeros.
class TensorReader {
 public:
  // An empty path, or one where there is no file: absent. Invalid argument for other dtypes.
  static Result<TensorReader> Open(const std::string& path,
                                   OnDamage on_damage = OnDamage::kEndProcess);

  // Null data when absent; else all elements of the tensor.
  std::span<const float> Find(std::string_view tensor) const;
  // Lets pages of a part that was read leave this process's memory.
  void Release(std::span<const float> part) const;
  Status Intact() const { return file_ ? file_->Intact() : OkStatus(); }  // as MappedFile::Intact
  Manifest ToManifest() const { return file_ ? file_->ToManifest() : Manifest(); }
  // Invalid argument when a tensor of both has another shape here: to read it by the places of
  // `whole` would be to read beyond its end.
  Status CheckFits(const Manifest& whole) const;
  std::string Metadata(const std::string& key) const;  // empty when there is none

 private:
  std::optional<SafetensorsFile> file_;
};

}  // namespace tributary

// The weights in a model directory as it is downloaded: model.safetensors, or the parts that
// model.safetensors.index.json lists.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/model_shape.h"
#include "core/safetensors.h"
#include "core/status.h"

namespace tributary {

inline constexpr std::string_view kModelWeightsFile = "model.safetensors";
inline constexpr std::string_view kModelIndexFile = "model.safetensors.index.json";

// One tensor of the model, in its mapped file.
struct ModelWeight {
  TensorSpec spec;  // the name that ModelShape gives it; the stored dtype: F32, F16, BF16 or F64
  std::shared_ptr<const SafetensorsFile> file;
  std::span<const std::byte> bytes;  // at any address: files of others need not be aligned
};

// Thread-safe to read.
class ModelFiles {
 public:
  // Finds every weight of `shape` and checks its shape and dtype; names all that is wrong. Files of
  // the base model alone (names without "model.", "transformer.") are read too; tensors that the
  // model does not need are passed over.
  static Result<ModelFiles> Open(const std::string& directory, const ModelShape& shape);

  const std::vector<ModelWeight>& weights() const { return weights_; }  // sorted by name
  const ModelWeight* Find(std::string_view name) const;                 // null when absent

 private:
  std::vector<ModelWeight> weights_;
};

// The elements from `offset` on, as many as `out` holds, as float.
void CopyFloats(const ModelWeight& weight, std::size_t offset, std::span<float> out);

}  // namespace tributary

#include "cli/middle_matrix.h"

#include <algorithm>
#include <span>

#include "core/tensor_file.h"
#include "core/train_directive.h"

namespace tributary::cli {
namespace {

// Element `at` of B C, both row-major; C is `rank` x `rank`.
float ProductAt(std::span<const float> b, std::span<const float> c, std::size_t rank,
                std::size_t at) {
  const std::size_t row = at / rank * rank;
  double sum = 0;
  for (std::size_t k = 0; k < rank; ++k) {
    sum += static_cast<double>(b[row + k]) * c[k * rank + at % rank];
  }
  return static_cast<float>(sum);
}

std::string MiddleOf(std::string name) {
  return name.replace(name.rfind(".lora_B."), 8, ".lora_C.");
}

}  // namespace

Status WorkInMiddle(const std::string& adapter, const std::string& out) {
  TRIBUTARY_ASSIGN_OR_RETURN(const TensorReader file, TensorReader::Open(adapter));
  const Manifest whole = file.ToManifest();
  Manifest manifest = whole;
  std::erase_if(manifest, [](const TensorSpec& spec) { return IsLoraC(spec.name); });
  for (const TensorSpec& spec : manifest) {
    if (!IsLoraB(spec.name)) continue;
    const auto middle = std::find_if(whole.begin(), whole.end(), [&](const TensorSpec& other) {
      return other.name == MiddleOf(spec.name);
    });
    if (middle == whole.end() || spec.shape.size() != 2 ||
        middle->shape != std::vector<std::int64_t>{spec.shape[1], spec.shape[1]}) {
      return InvalidArgumentError(adapter + ": " + spec.name +
                                  " has no square middle matrix of its rank");
    }
  }
  return WriteTensorFile(out, manifest,
                         [&](const TensorSpec& spec, std::size_t offset, std::span<float> values) {
                           const std::span<const float> stored = file.Find(spec.name);
                           if (!IsLoraB(spec.name)) {
                             std::copy_n(stored.begin() + static_cast<std::ptrdiff_t>(offset),
                                         values.size(), values.begin());
                             return;
                           }
                           const std::span<const float> c = file.Find(MiddleOf(spec.name));
                           const auto rank = static_cast<std::size_t>(spec.shape[1]);
                           for (std::size_t i = 0; i < values.size(); ++i) {
                             values[i] = ProductAt(stored, c, rank, offset + i);
                           }
                         })
      .status();
}

}  // namespace tributary::cli

// The weights of a base model that is not trained, in the precision that a task asks for.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/model_files.h"
#include "core/model_shape.h"
#include "core/status.h"
#include "trainer/weights.h"

namespace tributary::trainer {

// As training.base_precision names it.
//   fp32    all in float
//   stored  matrices and tables as their file has them, mapped; computed with in float
//   int8    weights of linear layers but the head as int8 with scales; the rest as `stored`
enum class BasePrecision : std::uint8_t { kFp32, kStored, kInt8 };
Result<BasePrecision> ParseBasePrecision(std::string_view name);

// Beside an int8 weight, under its name and this: its scales (frozen_matrix.h).
inline constexpr std::string_view kScalesSuffix = ".scales";

// Names of weights that are in float whatever the precision.
using WidenedWeights = std::set<std::string, std::less<>>;

// The weights that get a product of `merged` files (docs/task_directory.md): sums are made in
// float.
Result<WidenedWeights> WeightsWithProducts(const std::vector<std::string>& merged);

// All weights of the model directory under the names that `shape` gives them, each on `device`
// before the next is read.
Result<NamedTensors> LoadBaseWeights(const std::string& directory, const ModelShape& shape,
                                     BasePrecision precision, const WidenedWeights& widened = {},
                                     at::Device device = at::kCPU);

// Bytes that they will take, mapped or not, with the scales of int8.
std::uint64_t BaseWeightBytes(const std::vector<ModelWeight>& stored, const ModelShape& shape,
                              BasePrecision precision, const WidenedWeights& widened = {});

}  // namespace tributary::trainer

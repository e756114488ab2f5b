// Between safetensors files and LibTorch.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <memory>
#include <string>

#include "core/model_files.h"
#include "core/safetensors.h"
#include "core/status.h"

namespace tributary::trainer {

using NamedTensors = std::map<std::string, at::Tensor, std::less<>>;

// The floating-point tensors of a file as `dtype` (float or double). Tensors stored as F32 and
// asked for as float are views of the mapped file, so that several trainers of a node share one
// copy of a base model; each view keeps the mapping alive. Views are read-only: writing to one
// kills the process.
Result<NamedTensors> LoadWeights(const std::string& path, at::ScalarType dtype);

// Names and shapes, with dtype F32.
Manifest ManifestOf(const NamedTensors& tensors);

// A view of the mapped file in the dtype it has there, read-only as all views; a copy where the
// file does not align it.
at::Tensor StoredTensor(const ModelWeight& weight);

// A stored weight as `dtype`; a view of the mapped file where it is stored so. What was read to
// convert it leaves this process's memory.
at::Tensor ToTensor(const ModelWeight& weight, at::ScalarType dtype);

// Writes all as F32.
Status SaveWeights(const std::string& path, const NamedTensors& tensors);

}  // namespace tributary::trainer

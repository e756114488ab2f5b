// `tributary-trainer merge`: an adapter worked into its base model, as a model directory that needs
// no PEFT.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "core/status.h"

namespace tributary::trainer {

// weight + scale * B A in a tensor of its own. weight: [out, in], or [in, out] when `transposed`;
// b: [out, rank]; a: [rank, in].
at::Tensor WithProduct(const at::Tensor& weight, bool transposed, const at::Tensor& b,
                       const at::Tensor& a, double scale);

// Writes `output`, whole or not at all; an existing one is an error. Every weight keeps the dtype
// that it has in `model_path`; the sum is made in float. All else in `model_path` (config,
// tokenizer) is copied. A tied model whose embedding or head the adapter replaced is written
// untied. An adapter of kind full becomes the model.
Status MergeAdapter(const std::string& model_path, const std::string& adapter_directory,
                    const std::string& output);

}  // namespace tributary::trainer

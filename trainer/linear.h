// A linear layer y = W x + b with an optional LoRA pair: y = W x + b + scale * B A dropout(x)
// (arXiv 2106.09685, as PEFT does it), or scale * B C A dropout(x) with a middle matrix.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace tributary::trainer {

// How dropout is drawn in one forward pass: `key` names the pass, so that equal keys give equal
// masks. Off in evaluation.
struct DropoutPass {
  bool active = false;
  std::uint64_t key = 0;
};

struct Linear {
  at::Tensor weight;  // [out, in], or [in, out] when transposed; x's dtype, or a narrower one
  at::Tensor weight_scales;  // of an int8 weight (frozen_matrix.h)
  at::Tensor bias;           // [out], undefined without
  bool transposed = false;
  at::Tensor lora_a;  // [rank, in], undefined without LoRA
  at::Tensor lora_b;  // [out, rank]
  at::Tensor lora_c;  // [rank, rank], undefined without a middle matrix
  double lora_scale = 0;
  double lora_dropout = 0;
  std::uint64_t lora_key = 0;  // differs from layer to layer

  // x: [rows, in] -> [rows, out].
  at::Tensor Forward(const at::Tensor& x, const DropoutPass& dropout) const;
};

}  // namespace tributary::trainer

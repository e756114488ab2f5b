// The operations of kernels.h and attention.h as plain LibTorch operations with its own gradients:
// for any device and any floating dtype. Norms and softmax are computed in float at least.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "trainer/attention.h"

namespace tributary::trainer {

// Whether x is one for the fused kernels: float or double, on the CPU.
bool HasFusedKernels(const at::Tensor& x);

// Of x, but float at least.
at::ScalarType WideType(const at::Tensor& x);

// `tensor` where x is and in its dtype; its gradient goes back to where `tensor` is.
at::Tensor Beside(const at::Tensor& x, const at::Tensor& tensor);

// Arguments and results as in kernels.h.
at::Tensor PlainRmsNorm(const at::Tensor& x, const at::Tensor& weight, double eps);
at::Tensor PlainSwiGlu(const at::Tensor& gate, const at::Tensor& up);

// The table where x is, in float at least.
RotaryTable Beside(const at::Tensor& x, const RotaryTable& table);

// x: [rows, heads * head_dim]; rotates every head of row i by row i of `angles`, which is beside x.
// x itself without a table.
at::Tensor PlainRotated(const at::Tensor& x, const RotaryTable& angles, std::int64_t head_dim);

// Bool [rows, past + rows], true where a row sees a key: row i those up to past + i, `window` of
// them (at least 1).
at::Tensor VisibleKeys(std::int64_t rows, std::int64_t past, std::int64_t window,
                       const at::Device& device);

// Arguments and results as in attention.h. Through LibTorch's scaled_dot_product_attention where it
// has one (2.0), which picks the best kernel of the device.
at::Tensor PlainCausalAttention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                const RotaryTable& rotary, const std::vector<std::int64_t>& starts,
                                const AttentionShape& shape);

}  // namespace tributary::trainer

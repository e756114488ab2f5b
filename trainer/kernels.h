// The layers of a Llama-family model as fused operations with hand-written gradients: few
// temporaries, because touching fresh memory costs more than the arithmetic. That is for float or
// double on the CPU, row-major contiguous, with the same bits for the same number of threads; all
// else takes the plain way (plain_kernels.h). They may be called from one thread at a time.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace tributary::trainer {

// Rows of logits that LinearCrossEntropy holds at once.
inline constexpr std::int64_t kLogitRows = 256;

// y = x / sqrt(mean(x^2) + eps) * weight, by row. x: [rows, n], weight: [n].
at::Tensor RmsNorm(const at::Tensor& x, const at::Tensor& weight, double eps);

// silu(gate) * up. Both [rows, n].
at::Tensor SwiGlu(const at::Tensor& gate, const at::Tensor& up);

// Sum over rows of -log softmax(hidden head^T)[target], without ever holding all the logits.
// hidden: [rows, n], head: [vocab, n], targets: int64 [rows] -> scalar. A head that is not trained
// may be F16 or BF16.
at::Tensor LinearCrossEntropy(const at::Tensor& hidden, const at::Tensor& head,
                              const at::Tensor& targets);

// x with each element kept with probability 1 - p and scaled by 1 / (1 - p); the mask depends on
// `key` alone.
at::Tensor SeededDropout(const at::Tensor& x, double p, std::uint64_t key);

}  // namespace tributary::trainer

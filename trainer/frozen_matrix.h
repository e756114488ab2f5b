// A weight that is not trained, kept in fewer bytes than it is computed with, and widened in blocks
// where it is used: F16 and BF16 as a file stores them, or int8.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace tributary::trainer {

// Columns of a row that share a scale: an outlier coarsens its own block only.
inline constexpr std::int64_t kScaleColumns = 64;

struct FrozenMatrix {
  at::Tensor values;  // [rows, columns], of any floating dtype or int8
  at::Tensor scales;  // of int8: float [rows, ceil(columns / kScaleColumns)]; else undefined
};

// Symmetric: scale = largest magnitude of the block / 127, value = round(weight / scale). A block
// with a NaN or an infinity comes back as NaN.
FrozenMatrix QuantizeInt8(const at::Tensor& weight);

// The whole matrix as `dtype`, a floating one.
at::Tensor Widen(const FrozenMatrix& matrix, at::ScalarType dtype);

// x M^T; x: [n, columns], of a floating dtype, which is also what is computed with. A matrix of x's
// own dtype is used as it is and may get a gradient; others give x its gradient and get none.
at::Tensor TimesTransposed(const at::Tensor& x, const FrozenMatrix& matrix);

// The same into `y`, [n, rows] of x's dtype, without gradients.
void TimesTransposedInto(const at::Tensor& x, const FrozenMatrix& matrix, at::Tensor* y);

// x M; x: [n, rows].
at::Tensor Times(const at::Tensor& x, const FrozenMatrix& matrix);

// Rows of a table by their indices; as float when the table is F16 or BF16.
at::Tensor TableRows(const at::Tensor& table, const at::Tensor& indices);

}  // namespace tributary::trainer

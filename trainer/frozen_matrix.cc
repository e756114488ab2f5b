#include "trainer/frozen_matrix.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <type_traits>

namespace tributary::trainer {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

constexpr std::int64_t kBlockElements = 1 << 20;  // widened at once
constexpr std::int64_t kWidenedRows = 16;

// One block of at most kScaleColumns; returns its scale.
float QuantizeBlock(const float* in, std::int64_t n, std::int8_t* out) {
  float largest = 0;
  float poison = 0;  // NaN when one of them is not finite
  for (std::int64_t i = 0; i < n; ++i) {
    largest = std::max(largest, std::abs(in[i]));
    poison += in[i] * 0;
  }
  const float scale = largest / 127 + poison;
  const bool plain = scale > 0;
  for (std::int64_t i = 0; i < n; ++i) {
    const long rounded = plain ? std::lrintf(in[i] / scale) : 0;
    // Only a denormal scale is rounded so far off.
    out[i] = static_cast<std::int8_t>(std::clamp<long>(rounded, -127, 127));
  }
  return scale;
}

template <typename Scalar>
void WidenRow(const std::int8_t* in, const float* scales, std::int64_t columns, Scalar* out) {
  std::int64_t at = 0;
  using Wide = std::conditional_t<std::is_same_v<Scalar, double>, double, float>;
  for (; at + kScaleColumns <= columns; at += kScaleColumns) {
    const Wide scale = *scales++;
    for (std::int64_t i = 0; i < kScaleColumns; ++i) {
      out[at + i] = static_cast<Scalar>(static_cast<Wide>(in[at + i]) * scale);
    }
  }
  for (; at < columns; ++at) {
    out[at] = static_cast<Scalar>(static_cast<Wide>(in[at]) * static_cast<Wide>(*scales));
  }
}

// Rows begin .. begin + out->size(0) - 1 of the matrix.
void WidenRows(const FrozenMatrix& matrix, std::int64_t begin, Tensor* out) {
  const std::int64_t rows = out->size(0);
  if (matrix.values.scalar_type() != at::kChar) {
    out->copy_(matrix.values.slice(0, begin, begin + rows));
    return;
  }
  const std::int64_t columns = out->size(1);
  if (!out->device().is_cpu()) {
    const Tensor scales = matrix.scales.slice(0, begin, begin + rows);
    out->copy_(matrix.values.slice(0, begin, begin + rows));
    out->mul_(scales.repeat_interleave(kScaleColumns, 1).slice(1, 0, columns));
    return;
  }
  const std::int64_t blocks = matrix.scales.size(1);
  const std::int8_t* values = matrix.values.data_ptr<std::int8_t>() + begin * columns;
  const float* scales = matrix.scales.data_ptr<float>() + begin * blocks;
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, out->scalar_type(), "widen", [&] {
    scalar_t* to = out->data_ptr<scalar_t>();
    at::parallel_for(0, rows, kWidenedRows, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t row = first; row < last; ++row) {
        WidenRow(values + row * columns, scales + row * blocks, columns, to + row * columns);
      }
    });
  });
}

// Calls body(first row, end row, these rows as `dtype`) from the first row to the last.
template <typename Body>
void ForEachWidened(const FrozenMatrix& matrix, at::ScalarType dtype, const Body& body) {
  const std::int64_t rows = matrix.values.size(0);
  const std::int64_t columns = matrix.values.size(1);
  const std::int64_t step = std::clamp<std::int64_t>(kBlockElements / columns, 1, rows);
  const Tensor scratch = at::empty({step, columns}, matrix.values.options().dtype(dtype));
  for (std::int64_t begin = 0; begin < rows; begin += step) {
    const std::int64_t end = std::min(rows, begin + step);
    Tensor block = scratch.slice(0, 0, end - begin);
    WidenRows(matrix, begin, &block);
    body(begin, end, block);
  }
}

Tensor Multiply(const Tensor& x, const FrozenMatrix& matrix, bool transposed) {
  if (transposed) {
    Tensor y = at::empty({x.size(0), matrix.values.size(0)}, x.options());
    TimesTransposedInto(x, matrix, &y);
    return y;
  }
  Tensor y = at::zeros({x.size(0), matrix.values.size(1)}, x.options());
  ForEachWidened(matrix, x.scalar_type(),
                 [&](std::int64_t begin, std::int64_t end, const Tensor& block) {
                   y.addmm_(x.slice(1, begin, end), block);
                 });
  return y;
}

class FrozenProduct : public Function<FrozenProduct> {
 public:
  static Tensor forward(AutogradContext* ctx, const Tensor& x, const FrozenMatrix& matrix,
                        bool transposed) {
    ctx->save_for_backward({matrix.values, matrix.scales});
    ctx->saved_data["transposed"] = transposed;
    return Multiply(x, matrix, transposed);
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    const bool transposed = ctx->saved_data["transposed"].toBool();
    return {Multiply(grads[0], {saved[0], saved[1]}, !transposed), Tensor(), Tensor()};
  }
};

}  // namespace

FrozenMatrix QuantizeInt8(const Tensor& weight) {
  const std::int64_t columns = weight.size(1);
  const std::int64_t blocks = (columns + kScaleColumns - 1) / kScaleColumns;
  FrozenMatrix matrix{at::empty(weight.sizes(), at::kChar),
                      at::empty({weight.size(0), blocks}, at::kFloat)};
  auto* values = matrix.values.data_ptr<std::int8_t>();
  auto* scales = matrix.scales.data_ptr<float>();
  ForEachWidened(
      {weight, Tensor()}, at::kFloat,
      [&](std::int64_t begin, std::int64_t end, const Tensor& rows) {
        const auto* in = rows.data_ptr<float>();
        at::parallel_for(begin, end, kWidenedRows, [&](std::int64_t first, std::int64_t last) {
          for (std::int64_t i = first * blocks; i < last * blocks; ++i) {
            const std::int64_t at = i % blocks * kScaleColumns;
            const std::int64_t row = i / blocks;
            scales[i] =
                QuantizeBlock(in + (row - begin) * columns + at,
                              std::min(kScaleColumns, columns - at), values + row * columns + at);
          }
        });
      });
  return matrix;
}

Tensor Widen(const FrozenMatrix& matrix, at::ScalarType dtype) {
  Tensor wide = at::empty(matrix.values.sizes(), matrix.values.options().dtype(dtype));
  WidenRows(matrix, 0, &wide);
  return wide;
}

Tensor TimesTransposed(const Tensor& x, const FrozenMatrix& matrix) {
  if (matrix.values.scalar_type() == x.scalar_type()) return at::mm(x, matrix.values.t());
  return FrozenProduct::apply(x, matrix, true);
}

void TimesTransposedInto(const Tensor& x, const FrozenMatrix& matrix, Tensor* y) {
  if (matrix.values.scalar_type() == x.scalar_type()) {
    at::mm_out(*y, x, matrix.values.t());
    return;
  }
  ForEachWidened(matrix, x.scalar_type(),
                 [&](std::int64_t begin, std::int64_t end, const Tensor& block) {
                   Tensor part = y->slice(1, begin, end);
                   at::mm_out(part, x, block.t());
                 });
}

Tensor Times(const Tensor& x, const FrozenMatrix& matrix) {
  if (matrix.values.scalar_type() == x.scalar_type()) return at::mm(x, matrix.values);
  return FrozenProduct::apply(x, matrix, false);
}

Tensor TableRows(const Tensor& table, const Tensor& indices) {
  const Tensor rows = at::embedding(table, indices.to(table.device()));
  const bool narrow = table.scalar_type() == at::kHalf || table.scalar_type() == at::kBFloat16;
  return narrow ? rows.to(at::kFloat) : rows;
}

}  // namespace tributary::trainer

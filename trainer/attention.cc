#include "trainer/attention.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>

#include "trainer/plain_kernels.h"

namespace tributary::trainer {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

constexpr std::int64_t kBlock = 32;  // accumulators that stay in registers

// out[0..n) (+)= sum over t < count of a[t * a_stride] * b[t * b_stride + 0..n).
template <typename Scalar>
inline __attribute__((always_inline)) void RowTimesMatrixLoop(const Scalar* a,
                                                              std::int64_t a_stride,
                                                              std::int64_t count, const Scalar* b,
                                                              std::int64_t b_stride, Scalar* out,
                                                              std::int64_t n, bool accumulate) {
  std::int64_t at = 0;
  for (; at + kBlock <= n; at += kBlock) {
    Scalar sums[kBlock];
    for (std::int64_t i = 0; i < kBlock; ++i) sums[i] = accumulate ? out[at + i] : Scalar{0};
    for (std::int64_t t = 0; t < count; ++t) {
      const Scalar factor = a[t * a_stride];
      const Scalar* row = b + t * b_stride + at;
      for (std::int64_t i = 0; i < kBlock; ++i) sums[i] += factor * row[i];
    }
    for (std::int64_t i = 0; i < kBlock; ++i) out[at + i] = sums[i];
  }
  const std::int64_t rest = n - at;
  if (rest == 0) return;
  if (!accumulate) std::fill(out + at, out + n, Scalar{0});
  for (std::int64_t t = 0; t < count; ++t) {
    const Scalar factor = a[t * a_stride];
    const Scalar* row = b + t * b_stride + at;
    for (std::int64_t i = 0; i < rest; ++i) out[at + i] += factor * row[i];
  }
}

#if defined(__x86_64__)
#define TRIBUTARY_WIDE_VECTORS __attribute__((target_clones("default", "arch=haswell")))
#else
#define TRIBUTARY_WIDE_VECTORS
#endif

TRIBUTARY_WIDE_VECTORS
void RowTimesMatrix(const float* a, std::int64_t a_stride, std::int64_t count, const float* b,
                    std::int64_t b_stride, float* out, std::int64_t n, bool accumulate) {
  RowTimesMatrixLoop(a, a_stride, count, b, b_stride, out, n, accumulate);
}

void RowTimesMatrix(const double* a, std::int64_t a_stride, std::int64_t count, const double* b,
                    std::int64_t b_stride, double* out, std::int64_t n, bool accumulate) {
  RowTimesMatrixLoop(a, a_stride, count, b, b_stride, out, n, accumulate);
}

// One sequence as the loops below see it. Pointers are to its first row.
template <typename Scalar>
struct Sequence {
  const Scalar* q;
  const Scalar* k;
  const Scalar* v;
  std::int64_t length;
  std::int64_t dim;
  std::int64_t q_stride;
  std::int64_t kv_stride;
  Scalar scale;
  std::int64_t window;  // at least 1

  // The first column that `row` sees, and the end of the rows that see `column`.
  std::int64_t FirstColumn(std::int64_t row) const {
    return std::max<std::int64_t>(0, row + 1 - window);
  }
  std::int64_t EndRow(std::int64_t column) const { return std::min(length, column + window); }
};

// [length, dim] with a row stride -> [dim, length].
template <typename Scalar>
void Transpose(const Scalar* in, std::int64_t stride, std::int64_t length, std::int64_t dim,
               std::vector<Scalar>* out) {
  out->resize(static_cast<std::size_t>(length * dim));
  for (std::int64_t row = 0; row < length; ++row) {
    for (std::int64_t i = 0; i < dim; ++i) (*out)[i * length + row] = in[row * stride + i];
  }
}

// Row `row` of softmax(q k^T * scale) under the causal mask, into p[first..row].
template <typename Scalar>
void Probabilities(const Sequence<Scalar>& s, const std::vector<Scalar>& k_transposed,
                   std::int64_t row, Scalar* p) {
  const std::int64_t first = s.FirstColumn(row);
  const std::int64_t n = row + 1 - first;
  p += first;
  RowTimesMatrix(s.q + row * s.q_stride, 1, s.dim, k_transposed.data() + first, s.length, p, n,
                 false);
  const Scalar top = *std::max_element(p, p + n);
  Scalar sum = 0;
  for (std::int64_t j = 0; j < n; ++j) {
    p[j] = std::exp((p[j] - top) * s.scale);
    sum += p[j];
  }
  const Scalar inverse = 1 / sum;
  for (std::int64_t j = 0; j < n; ++j) p[j] *= inverse;
}

template <typename Scalar>
void AttendForward(const Sequence<Scalar>& s, const std::vector<Scalar>& k_transposed, Scalar* out,
                   std::vector<Scalar>* scratch) {
  scratch->resize(static_cast<std::size_t>(s.length));
  for (std::int64_t row = 0; row < s.length; ++row) {
    Probabilities(s, k_transposed, row, scratch->data());
    const std::int64_t first = s.FirstColumn(row);
    RowTimesMatrix(scratch->data() + first, 1, row + 1 - first, s.v + first * s.kv_stride,
                   s.kv_stride, out + row * s.q_stride, s.dim, false);
  }
}

// Adds to dk and dv, which several query heads share; sets dq.
template <typename Scalar>
void AttendBackward(const Sequence<Scalar>& s, const std::vector<Scalar>& k_transposed,
                    const std::vector<Scalar>& v_transposed, const Scalar* dout, Scalar* dq,
                    Scalar* dk, Scalar* dv, std::vector<Scalar>* p, std::vector<Scalar>* ds) {
  const std::int64_t length = s.length;
  p->resize(static_cast<std::size_t>(length * length));
  ds->resize(static_cast<std::size_t>(length * length));
  for (std::int64_t row = 0; row < length; ++row) {
    Scalar* weights = p->data() + row * length;
    Scalar* scores = ds->data() + row * length;
    Probabilities(s, k_transposed, row, weights);
    const std::int64_t first = s.FirstColumn(row);
    RowTimesMatrix(dout + row * s.q_stride, 1, s.dim, v_transposed.data() + first, length,
                   scores + first, row + 1 - first, false);
    Scalar mean = 0;
    for (std::int64_t j = first; j <= row; ++j) mean += weights[j] * scores[j];
    for (std::int64_t j = first; j <= row; ++j) {
      scores[j] = weights[j] * (scores[j] - mean) * s.scale;
    }
    RowTimesMatrix(scores + first, 1, row + 1 - first, s.k + first * s.kv_stride, s.kv_stride,
                   dq + row * s.q_stride, s.dim, false);
  }
  for (std::int64_t column = 0; column < length; ++column) {
    const std::int64_t below = column * length + column;  // rows from `column` on see it
    const std::int64_t rows = s.EndRow(column) - column;
    RowTimesMatrix(ds->data() + below, length, rows, s.q + column * s.q_stride, s.q_stride,
                   dk + column * s.kv_stride, s.dim, true);
    RowTimesMatrix(p->data() + below, length, rows, dout + column * s.q_stride, s.q_stride,
                   dv + column * s.kv_stride, s.dim, true);
  }
}

// Rotates every head of every row; `direction` -1 undoes it, which is also its gradient.
template <typename Scalar>
void RotateInto(const Tensor& in, const RotaryTable& table, const std::vector<std::int64_t>& starts,
                std::int64_t dim, Scalar direction, Tensor* out) {
  const std::int64_t width = in.size(1);
  const std::int64_t half = dim / 2;
  const auto* x = in.data_ptr<Scalar>();
  const auto* cos_rows = table.cos.data_ptr<Scalar>();
  const auto* sin_rows = table.sin.data_ptr<Scalar>();
  auto* y = out->data_ptr<Scalar>();
  const auto sequences = static_cast<std::int64_t>(starts.size()) - 1;
  at::parallel_for(0, sequences, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = starts[begin], s = begin; s < end; ++s) {
      for (; row < starts[s + 1]; ++row) {
        const Scalar* c = cos_rows + (row - starts[s]) * half;
        const Scalar* sn = sin_rows + (row - starts[s]) * half;
        for (std::int64_t head = row * width; head < (row + 1) * width; head += dim) {
          for (std::int64_t i = 0; i < half; ++i) {
            const Scalar a = x[head + i];
            const Scalar b = x[head + half + i];
            const Scalar turn = direction * sn[i];
            y[head + i] = a * c[i] - b * turn;
            y[head + half + i] = b * c[i] + a * turn;
          }
        }
      }
    }
  });
}

Tensor Rotate(const Tensor& in, const RotaryTable& table, const std::vector<std::int64_t>& starts,
              std::int64_t dim, int direction) {
  if (table.cos.numel() == 0) return in;
  Tensor out = at::empty_like(in);
  AT_DISPATCH_FLOATING_TYPES(in.scalar_type(), "rotary", [&] {
    RotateInto<scalar_t>(in, table, starts, dim, static_cast<scalar_t>(direction), &out);
  });
  return out;
}

// Calls body(view of one sequence and query head, offset into q-like, offset into k-like tensors,
// query head's place in its group), in parallel over sequences and key heads, so that a key head's
// gradient has one writer.
template <typename Scalar, typename Body>
void ForEachKeyHead(const Tensor& q, const Tensor& k, const Tensor& v,
                    const std::vector<std::int64_t>& starts, const AttentionShape& shape,
                    const Body& body) {
  const auto sequences = static_cast<std::int64_t>(starts.size()) - 1;
  const std::int64_t q_stride = shape.heads * shape.head_dim;
  const std::int64_t kv_stride = shape.kv_heads * shape.head_dim;
  const auto scale = static_cast<Scalar>(1 / std::sqrt(static_cast<double>(shape.head_dim)));
  at::parallel_for(0, sequences * shape.kv_heads, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t task = begin; task < end; ++task) {
      const std::int64_t start = starts[task / shape.kv_heads];
      const std::int64_t length = starts[task / shape.kv_heads + 1] - start;
      const std::int64_t kv_head = task % shape.kv_heads;
      const std::int64_t group = shape.heads / shape.kv_heads;
      const std::int64_t kv_at = start * kv_stride + kv_head * shape.head_dim;
      const std::int64_t q_at = start * q_stride + kv_head * group * shape.head_dim;
      body(Sequence<Scalar>{q.data_ptr<Scalar>() + q_at, k.data_ptr<Scalar>() + kv_at,
                            v.data_ptr<Scalar>() + kv_at, length, shape.head_dim, q_stride,
                            kv_stride, scale, shape.window > 0 ? shape.window : length},
           q_at, kv_at, group);
    }
  });
}

Tensor Forward(const Tensor& q, const Tensor& k, const Tensor& v,
               const std::vector<std::int64_t>& starts, const AttentionShape& shape) {
  Tensor out = at::empty_like(q);
  AT_DISPATCH_FLOATING_TYPES(q.scalar_type(), "attention", [&] {
    scalar_t* o = out.data_ptr<scalar_t>();
    ForEachKeyHead<scalar_t>(
        q, k, v, starts, shape,
        [&](Sequence<scalar_t> s, std::int64_t q_at, std::int64_t, std::int64_t group) {
          std::vector<scalar_t> k_transposed;
          std::vector<scalar_t> scratch;
          Transpose(s.k, s.kv_stride, s.length, s.dim, &k_transposed);
          for (std::int64_t member = 0; member < group; ++member, q_at += s.dim, s.q += s.dim) {
            AttendForward(s, k_transposed, o + q_at, &scratch);
          }
        });
  });
  return out;
}

struct Gradients {
  Tensor q;
  Tensor k;
  Tensor v;
};

Gradients Backward(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& dout,
                   const std::vector<std::int64_t>& starts, const AttentionShape& shape) {
  Gradients grads{at::empty_like(q), at::zeros_like(k), at::zeros_like(v)};
  AT_DISPATCH_FLOATING_TYPES(q.scalar_type(), "attention_backward", [&] {
    const scalar_t* d = dout.data_ptr<scalar_t>();
    scalar_t* dq = grads.q.data_ptr<scalar_t>();
    scalar_t* dk = grads.k.data_ptr<scalar_t>();
    scalar_t* dv = grads.v.data_ptr<scalar_t>();
    ForEachKeyHead<scalar_t>(
        q, k, v, starts, shape,
        [&](Sequence<scalar_t> s, std::int64_t q_at, std::int64_t kv_at, std::int64_t group) {
          std::vector<scalar_t> k_transposed;
          std::vector<scalar_t> v_transposed;
          std::vector<scalar_t> p;
          std::vector<scalar_t> ds;
          Transpose(s.k, s.kv_stride, s.length, s.dim, &k_transposed);
          Transpose(s.v, s.kv_stride, s.length, s.dim, &v_transposed);
          for (std::int64_t member = 0; member < group; ++member, q_at += s.dim, s.q += s.dim) {
            AttendBackward(s, k_transposed, v_transposed, d + q_at, dq + q_at, dk + kv_at,
                           dv + kv_at, &p, &ds);
          }
        });
  });
  return grads;
}

class AttentionFunction : public Function<AttentionFunction> {
 public:
  static Tensor forward(AutogradContext* ctx, const Tensor& q, const Tensor& k, const Tensor& v,
                        const Tensor& cos, const Tensor& sin,
                        const std::vector<std::int64_t>& starts, const AttentionShape& shape) {
    const RotaryTable table{cos, sin};
    const Tensor q_turned = Rotate(q, table, starts, shape.head_dim, 1);
    const Tensor k_turned = Rotate(k, table, starts, shape.head_dim, 1);
    ctx->save_for_backward({q_turned, k_turned, v, cos, sin});
    ctx->saved_data["starts"] = starts;
    ctx->saved_data["shape"] =
        std::vector<std::int64_t>{shape.heads, shape.kv_heads, shape.head_dim, shape.window};
    return Forward(q_turned, k_turned, v, starts, shape);
  }

  static variable_list backward(AutogradContext* ctx, variable_list upstream) {
    const variable_list saved = ctx->get_saved_variables();
    const std::vector<std::int64_t> starts = ctx->saved_data["starts"].toIntVector();
    const std::vector<std::int64_t> dims = ctx->saved_data["shape"].toIntVector();
    const AttentionShape shape{dims[0], dims[1], dims[2], dims[3]};
    const RotaryTable table{saved[3], saved[4]};
    const Gradients grads =
        Backward(saved[0], saved[1], saved[2], upstream[0].contiguous(), starts, shape);
    return {Rotate(grads.q, table, starts, shape.head_dim, -1),
            Rotate(grads.k, table, starts, shape.head_dim, -1),
            grads.v,
            Tensor(),
            Tensor(),
            Tensor(),
            Tensor()};
  }
};

}  // namespace

RotaryTable MakeRotaryTable(std::int64_t positions, const std::vector<double>& frequencies,
                            at::ScalarType dtype) {
  const auto half = static_cast<std::int64_t>(frequencies.size());
  Tensor angles = at::empty({positions, half}, at::kDouble);
  auto* out = angles.data_ptr<double>();
  for (std::int64_t position = 0; position < positions; ++position) {
    for (std::int64_t i = 0; i < half; ++i) {
      out[position * half + i] =
          static_cast<double>(position) * frequencies[static_cast<std::size_t>(i)];
    }
  }
  return {angles.cos().to(dtype), angles.sin().to(dtype)};
}

Tensor Positions(const std::vector<std::int64_t>& starts) {
  Tensor positions = at::arange(starts.back(), at::kLong);
  for (std::size_t s = 1; s < starts.size(); ++s) {
    positions.slice(0, starts[s - 1], starts[s]).sub_(starts[s - 1]);
  }
  return positions;
}

Tensor CausalAttention(const Tensor& q, const Tensor& k, const Tensor& v, const RotaryTable& rotary,
                       const std::vector<std::int64_t>& starts, const AttentionShape& shape) {
  if (!HasFusedKernels(q)) return PlainCausalAttention(q, k, v, rotary, starts, shape);
  if (rotary.cos.defined()) {
    return AttentionFunction::apply(q, k, v, rotary.cos, rotary.sin, starts, shape);
  }
  const Tensor none = at::empty({0}, q.options());  // a custom function takes no undefined tensor
  return AttentionFunction::apply(q, k, v, none, none, starts, shape);
}

}  // namespace tributary::trainer

#include "trainer/attention.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "trainer/plain_kernels.h"

namespace tributary::trainer {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

// Rows [begin, end) of one sequence and the keys [first, end) that one of them sees.
struct Block {
  std::int64_t begin;
  std::int64_t end;
  std::int64_t first;
  std::int64_t window;  // at least 1
};

// Where one head of one sequence is in a packed tensor: its first row and its first column.
struct HeadPlace {
  std::int64_t start;
  std::int64_t column;

  // Rows [begin, end) of the head, a view [end - begin, dim].
  Tensor Rows(const Tensor& packed, std::int64_t dim, std::int64_t begin, std::int64_t end) const {
    return packed.slice(0, start + begin, start + end).slice(1, column, column + dim);
  }
};

// -infinity where a row does not see a key.
void HideUnseen(const Block& block, Tensor* scores) {
  const std::int64_t columns = block.end - block.first;
  AT_DISPATCH_FLOATING_TYPES(scores->scalar_type(), "attention_mask", [&] {
    constexpr auto kHidden = -std::numeric_limits<scalar_t>::infinity();
    for (std::int64_t row = block.begin; row < block.end; ++row) {
      scalar_t* s = scores->data_ptr<scalar_t>() + (row - block.begin) * columns;
      const std::int64_t seen = std::max(block.first, row + 1 - block.window) - block.first;
      std::fill(s, s + seen, kHidden);
      std::fill(s + row + 1 - block.first, s + columns, kHidden);
    }
  });
}

// Rows of softmax(q k^T * scale) under the causal mask. q: [rows, dim], k: [columns, dim].
Tensor Probabilities(const Tensor& q, const Tensor& k, double scale, const Block& block) {
  Tensor scores = at::empty({q.size(0), k.size(0)}, q.options());
  at::addmm_out(scores, scores, q, k.t(), 0, scale);
  HideUnseen(block, &scores);
  return at::_softmax(scores, 1, false);
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

// Calls body(place of the query head, place of its key head, block), from the first block of rows
// to the last, for every query head; in parallel over sequences and key heads, so that a key head's
// gradient has one writer.
template <typename Body>
void ForEachBlock(const std::vector<std::int64_t>& starts, const AttentionShape& shape,
                  const Body& body) {
  const auto sequences = static_cast<std::int64_t>(starts.size()) - 1;
  const std::int64_t group = shape.heads / shape.kv_heads;
  at::parallel_for(0, sequences * shape.kv_heads, 1, [&](std::int64_t begin, std::int64_t end) {
    const at::AutoDispatchBelowADInplaceOrView no_graph;
    for (std::int64_t task = begin; task < end; ++task) {
      const std::int64_t start = starts[task / shape.kv_heads];
      const std::int64_t length = starts[task / shape.kv_heads + 1] - start;
      const std::int64_t window = shape.window > 0 ? shape.window : length;
      const std::int64_t kv_head = task % shape.kv_heads;
      const HeadPlace key{start, kv_head * shape.head_dim};
      for (std::int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
        const HeadPlace query{start, head * shape.head_dim};
        for (std::int64_t row = 0; row < length; row += kScoreRows) {
          body(query, key,
               Block{row, std::min(length, row + kScoreRows),
                     std::max<std::int64_t>(0, row + 1 - window), window});
        }
      }
    }
  });
}

double Scale(const AttentionShape& shape) {
  return 1 / std::sqrt(static_cast<double>(shape.head_dim));
}

Tensor Forward(const Tensor& q, const Tensor& k, const Tensor& v,
               const std::vector<std::int64_t>& starts, const AttentionShape& shape) {
  Tensor out = at::empty_like(q);
  const std::int64_t dim = shape.head_dim;
  ForEachBlock(starts, shape,
               [&](const HeadPlace& query, const HeadPlace& key, const Block& block) {
                 const Tensor p =
                     Probabilities(query.Rows(q, dim, block.begin, block.end),
                                   key.Rows(k, dim, block.first, block.end), Scale(shape), block);
                 Tensor o = query.Rows(out, dim, block.begin, block.end);
                 at::mm_out(o, p, key.Rows(v, dim, block.first, block.end));
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
  const std::int64_t dim = shape.head_dim;
  const double scale = Scale(shape);
  ForEachBlock(starts, shape,
               [&](const HeadPlace& query, const HeadPlace& key, const Block& block) {
                 const auto queries = [&](const Tensor& packed) {
                   return query.Rows(packed, dim, block.begin, block.end);
                 };
                 const auto keys = [&](const Tensor& packed) {
                   return key.Rows(packed, dim, block.first, block.end);
                 };
                 const Tensor p = Probabilities(queries(q), keys(k), scale, block);
                 const Tensor dp = at::mm(queries(dout), keys(v).t());
                 // Of the scaled scores: p (dp - sum of p dp).
                 const Tensor ds = at::_softmax_backward_data(dp, p, 1, p.scalar_type());
                 Tensor dq = queries(grads.q);
                 at::addmm_out(dq, dq, ds, keys(k), 0, scale);
                 keys(grads.k).addmm_(ds.t(), queries(q), 1, scale);
                 keys(grads.v).addmm_(p.t(), queries(dout));
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

RotaryTable MakeRotaryTable(std::int64_t first, std::int64_t positions,
                            const std::vector<double>& frequencies, at::ScalarType dtype) {
  const auto half = static_cast<std::int64_t>(frequencies.size());
  Tensor angles = at::empty({positions, half}, at::kDouble);
  auto* out = angles.data_ptr<double>();
  for (std::int64_t position = 0; position < positions; ++position) {
    for (std::int64_t i = 0; i < half; ++i) {
      out[position * half + i] =
          static_cast<double>(first + position) * frequencies[static_cast<std::size_t>(i)];
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

#include "trainer/plain_kernels.h"

#include <ATen/ATen.h>
#include <torch/version.h>

#include <cmath>
#include <limits>

namespace tributary::trainer {
namespace {

using at::Tensor;

bool IsWide(const Tensor& x) {
  return x.scalar_type() == at::kFloat || x.scalar_type() == at::kDouble;
}

Tensor Wide(const Tensor& x) { return x.to(WideType(x)); }

// x: [rows, heads, head_dim]. Pairs are (i, i + head_dim / 2).
Tensor Rotated(const Tensor& x, const Tensor& cos, const Tensor& sin) {
  const std::vector<Tensor> halves = x.chunk(2, 2);
  return at::cat({halves[0] * cos - halves[1] * sin, halves[1] * cos + halves[0] * sin}, 2);
}

// The table's rows at these positions.
RotaryTable RotaryRows(const RotaryTable& table, const Tensor& positions) {
  if (!table.cos.defined()) return table;
  return {table.cos.index_select(0, positions), table.sin.index_select(0, positions)};
}

// One sequence; q, k, v: [heads, length, head_dim].
Tensor Attend(const Tensor& q, const Tensor& k, const Tensor& v, std::int64_t window) {
  const std::int64_t length = q.size(1);
  const bool cut = window > 0 && window < length;
#if TORCH_VERSION_MAJOR >= 2
  const Tensor queries = q.unsqueeze(0), keys = k.unsqueeze(0), values = v.unsqueeze(0);
  const Tensor out =
      cut ? at::scaled_dot_product_attention(queries, keys, values,
                                             VisibleKeys(length, 0, window, q.device()))
          : at::scaled_dot_product_attention(queries, keys, values, {}, 0.0, /*is_causal=*/true);
  return out.squeeze(0);
#else
  const double scale = 1 / std::sqrt(static_cast<double>(q.size(2)));
  const Tensor scores = Wide(at::matmul(q, k.transpose(1, 2))) * scale;
  const Tensor hidden = VisibleKeys(length, 0, cut ? window : length, q.device()).logical_not();
  const Tensor seen = scores.masked_fill(hidden, -std::numeric_limits<double>::infinity());
  return at::matmul(at::softmax(seen, 2).to(v.scalar_type()), v);
#endif
}

}  // namespace

at::ScalarType WideType(const Tensor& x) { return IsWide(x) ? x.scalar_type() : at::kFloat; }

bool HasFusedKernels(const Tensor& x) { return x.device().is_cpu() && IsWide(x); }

Tensor Beside(const Tensor& x, const Tensor& tensor) {
  return tensor.to(x.device(), x.scalar_type());
}

Tensor PlainRmsNorm(const Tensor& x, const Tensor& weight, double eps) {
  const Tensor wide = Wide(x);
  const Tensor inverse = (wide.square().mean(1, true) + eps).rsqrt();
  return (wide * inverse).to(x.scalar_type()) * Beside(x, weight);
}

Tensor PlainSwiGlu(const Tensor& gate, const Tensor& up) { return at::silu(gate) * up; }

RotaryTable Beside(const Tensor& x, const RotaryTable& table) {
  if (!table.cos.defined()) return table;
  return {Beside(Wide(x), table.cos), Beside(Wide(x), table.sin)};
}

Tensor PlainRotated(const Tensor& x, const RotaryTable& angles, std::int64_t head_dim) {
  if (!angles.cos.defined()) return x;
  const Tensor heads = Wide(x).view({x.size(0), -1, head_dim});
  return Rotated(heads, angles.cos.unsqueeze(1), angles.sin.unsqueeze(1))
      .to(x.scalar_type())
      .view(x.sizes());
}

Tensor VisibleKeys(std::int64_t rows, std::int64_t past, std::int64_t window,
                   const at::Device& device) {
  const Tensor all = at::ones({rows, past + rows}, at::TensorOptions(device).dtype(at::kBool));
  return all.tril(past).triu(past + 1 - window);
}

Tensor PlainCausalAttention(const Tensor& q, const Tensor& k, const Tensor& v,
                            const RotaryTable& rotary, const std::vector<std::int64_t>& starts,
                            const AttentionShape& shape) {
  const auto heads = [&](const Tensor& x) { return x.view({x.size(0), -1, shape.head_dim}); };
  const RotaryTable angles = Beside(q, RotaryRows(rotary, Positions(starts)));
  const Tensor queries = heads(PlainRotated(q, angles, shape.head_dim));
  const Tensor keys = heads(PlainRotated(k, angles, shape.head_dim));
  const std::int64_t group = shape.heads / shape.kv_heads;
  std::vector<Tensor> mixed;
  for (std::size_t s = 1; s < starts.size(); ++s) {
    const auto sequence = [&](const Tensor& x, std::int64_t times) {
      const Tensor part = x.slice(0, starts[s - 1], starts[s]).transpose(0, 1);
      return times == 1 ? part : part.repeat_interleave(times, 0);
    };
    const Tensor out = Attend(sequence(queries, 1), sequence(keys, group),
                              sequence(heads(v), group), shape.window);
    mixed.push_back(out.transpose(0, 1).reshape({-1, shape.heads * shape.head_dim}));
  }
  return at::cat(mixed, 0);
}

}  // namespace tributary::trainer

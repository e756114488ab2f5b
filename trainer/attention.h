// Causal attention, with or without rotary embeddings, over sequences packed without padding.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace tributary::trainer {

// Rows of scores that a thread holds at once.
inline constexpr std::int64_t kScoreRows = 64;

struct AttentionShape {
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;  // divides heads: each serves heads / kv_heads query heads in a row
  std::int64_t head_dim = 0;  // even with rotary embeddings
  std::int64_t window = 0;    // tokens that one sees, itself among them; 0: all before it
};

// cos and sin of position * frequency, each [positions, head_dim / 2]. Undefined: no rotation.
struct RotaryTable {
  at::Tensor cos;
  at::Tensor sin;
};
// Of `positions` positions from `first` on.
RotaryTable MakeRotaryTable(std::int64_t first, std::int64_t positions,
                            const std::vector<double>& frequencies, at::ScalarType dtype);

// Of each row its place in its sequence: int64 [rows].
at::Tensor Positions(const std::vector<std::int64_t>& starts);

// q: [rows, heads * head_dim]; k, v: [rows, kv_heads * head_dim]; contiguous.
// Sequence s is rows starts[s] .. starts[s + 1] - 1, its first row at position 0; starts[0] = 0 and
// starts.back() = rows. Rotates q and k in Hugging Face's half-split layout where there is a table,
// scales by 1/sqrt(head_dim). Returns [rows, heads * head_dim]. The scores of a few
// rows of one sequence and head exist only while a thread works on them.
at::Tensor CausalAttention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                           const RotaryTable& rotary, const std::vector<std::int64_t>& starts,
                           const AttentionShape& shape);

}  // namespace tributary::trainer

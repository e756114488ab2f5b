#include "trainer/key_value_cache.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "trainer/plain_kernels.h"

namespace tributary::trainer {
namespace {

using at::Tensor;

// Rows [begin, end) of q over all keys up to theirs, which is `past` rows further on.
Tensor AttendRows(const Tensor& q, const Tensor& k, const Tensor& v, std::int64_t begin,
                  std::int64_t end, std::int64_t past, const AttentionShape& shape) {
  const std::int64_t window = shape.window > 0 ? shape.window : past + end;
  const std::int64_t first = std::max<std::int64_t>(0, past + begin + 1 - window);
  const std::int64_t rows = end - begin;
  const std::int64_t columns = past + end - first;
  const std::int64_t group = shape.heads / shape.kv_heads;
  // [kv_heads, group * rows, head_dim] and [kv_heads, columns, head_dim]: keys are not repeated.
  const Tensor queries = q.slice(0, begin, end)
                             .view({rows, shape.kv_heads, group, shape.head_dim})
                             .permute({1, 2, 0, 3})
                             .reshape({shape.kv_heads, group * rows, shape.head_dim});
  const auto heads = [&](const Tensor& x) {
    return x.slice(0, first, past + end)
        .view({columns, shape.kv_heads, shape.head_dim})
        .transpose(0, 1);
  };
  const double scale = 1 / std::sqrt(static_cast<double>(shape.head_dim));
  Tensor scores = at::bmm(queries, heads(k).transpose(1, 2)).to(WideType(q)).mul_(scale);
  if (rows > 1) {
    const Tensor visible = VisibleKeys(rows, past + begin - first, window, q.device());
    scores.view({shape.kv_heads, group, rows, columns})
        .masked_fill_(visible.logical_not(), -std::numeric_limits<double>::infinity());
  }
  return at::bmm(at::softmax(scores, 2).to(v.scalar_type()), heads(v))
      .view({shape.kv_heads, group, rows, shape.head_dim})
      .permute({2, 0, 1, 3})
      .reshape({rows, shape.heads * shape.head_dim});
}

}  // namespace

void GrowingRows::Append(const Tensor& rows, std::int64_t expected) {
  const std::int64_t count = count_ + rows.size(0);
  if (!room_.defined() || count > room_.size(0)) {
    const std::int64_t room = std::max(count, room_.defined() ? 2 * count_ : expected);
    const Tensor larger = at::empty({room, rows.size(1)}, rows.options());
    if (count_ > 0) larger.slice(0, 0, count_).copy_(All());
    room_ = larger;
  }
  room_.slice(0, count_, count).copy_(rows);
  count_ = count;
}

const KeyValueCache::Layer& KeyValueCache::Append(std::int64_t index, const Tensor& keys,
                                                  const Tensor& values) {
  const auto at = static_cast<std::size_t>(index);
  if (at >= layers_.size()) layers_.resize(at + 1);
  layers_[at].keys.Append(keys, tokens_);
  layers_[at].values.Append(values, tokens_);
  return layers_[at];
}

Tensor CachedAttention(const Tensor& q, const Tensor& k, const Tensor& v, const RotaryTable& rotary,
                       const AttentionShape& shape, std::int64_t layer, KeyValueCache* cache) {
  const RotaryTable angles = Beside(q, rotary);
  const KeyValueCache::Layer& seen =
      cache->Append(layer, PlainRotated(k, angles, shape.head_dim), v);
  const Tensor turned = PlainRotated(q, angles, shape.head_dim);
  const std::int64_t past = seen.keys.count() - q.size(0);
  std::vector<Tensor> mixed;
  for (std::int64_t begin = 0; begin < q.size(0); begin += kScoreRows) {
    mixed.push_back(AttendRows(turned, seen.keys.All(), seen.values.All(), begin,
                               std::min(q.size(0), begin + kScoreRows), past, shape));
  }
  return at::cat(mixed, 0);
}

}  // namespace tributary::trainer

// Keys and values that attention has seen, so that generation computes each token once.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "trainer/attention.h"

namespace tributary::trainer {

// Rows of one width that grow at the end; room is doubled when it runs out.
class GrowingRows {
 public:
  void Append(const at::Tensor& rows);
  // A view, [rows so far, width]; valid until the next Append.
  at::Tensor All() const { return room_.slice(0, 0, count_); }
  std::int64_t count() const { return count_; }

 private:
  at::Tensor room_;
  std::int64_t count_ = 0;
};

// What the layers of a model keep of one sequence.
class KeyValueCache {
 public:
  struct Layer {
    GrowingRows keys;  // rotated
    GrowingRows values;
  };

  KeyValueCache() = default;
  KeyValueCache(const KeyValueCache&) = delete;
  KeyValueCache& operator=(const KeyValueCache&) = delete;

  // Of layer `index`, counted from 0; made when it is first asked for.
  Layer* At(std::int64_t index);
  // Tokens that the first layer has seen: between two passes, all of them.
  std::int64_t length() const { return layers_.empty() ? 0 : layers_.front().keys.count(); }

 private:
  std::vector<Layer> layers_;
};

// As CausalAttention, for the tokens of one sequence that follow those in `cache`: adds them there.
// `rotary` has their positions too. Without gradients; on any device and in any floating dtype.
at::Tensor CachedAttention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                           const RotaryTable& rotary, const AttentionShape& shape,
                           KeyValueCache::Layer* cache);

}  // namespace tributary::trainer

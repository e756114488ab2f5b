// Keys and values that attention has seen, so that generation computes each token once.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "trainer/attention.h"

namespace tributary::trainer {

// Rows of one width that grow at the end.
class GrowingRows {
 public:
  // Makes room for `expected` rows at first, and for twice as many as there are when it runs out.
  void Append(const at::Tensor& rows, std::int64_t expected);
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

  // `tokens`: that the sequence is expected to have in the end; it may have more.
  explicit KeyValueCache(std::int64_t tokens) : tokens_(tokens) {}
  KeyValueCache(const KeyValueCache&) = delete;
  KeyValueCache& operator=(const KeyValueCache&) = delete;

  // Adds rows to layer `index`, counted from 0, which is then returned.
  const Layer& Append(std::int64_t index, const at::Tensor& keys, const at::Tensor& values);
  // Tokens that the first layer has seen: between two passes, all of them.
  std::int64_t length() const { return layers_.empty() ? 0 : layers_.front().keys.count(); }

 private:
  std::int64_t tokens_;
  std::vector<Layer> layers_;
};

// As CausalAttention, in layer `layer`, for the tokens of one sequence that follow those in
// `cache`: adds them there. `rotary` has a row for each of them. Without gradients; on any device
// and in any floating dtype.
at::Tensor CachedAttention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                           const RotaryTable& rotary, const AttentionShape& shape,
                           std::int64_t layer, KeyValueCache* cache);

}  // namespace tributary::trainer

#include "trainer/language_model.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "trainer/frozen_matrix.h"
#include "trainer/kernels.h"

namespace tributary::trainer {

using at::Tensor;

std::int64_t LongestSequence(const std::vector<std::int64_t>& starts) {
  std::int64_t longest = 0;
  for (std::size_t s = 1; s < starts.size(); ++s) {
    longest = std::max(longest, starts[s] - starts[s - 1]);
  }
  return longest;
}

Tensor LossSum(const LanguageModel& model, const PackedBatch& batch, const ForwardPass& pass) {
  const Tensor hidden = model.Hidden(batch, pass);
  return LinearCrossEntropy(hidden.index_select(0, batch.loss_rows), model.Head(), batch.targets);
}

Tensor Logits(const LanguageModel& model, const PackedBatch& batch) {
  return TimesTransposed(model.Hidden(batch, {}), {model.Head(), Tensor()});
}

}  // namespace tributary::trainer

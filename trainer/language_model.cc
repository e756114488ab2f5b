#include "trainer/language_model.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "trainer/frozen_matrix.h"
#include "trainer/kernels.h"
#include "trainer/plain_kernels.h"

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
  const Tensor rows = hidden.index_select(0, batch.loss_rows.to(hidden.device()));
  return LinearCrossEntropy(rows.to(WideType(rows)), model.Head(), batch.targets);
}

Tensor LogitsOf(const LanguageModel& model, const Tensor& hidden) {
  const Tensor wide = hidden.to(WideType(hidden));
  const Tensor& head = model.Head();
  const bool near = head.device() == wide.device();
  return TimesTransposed(wide, {near ? head : Beside(wide, head), Tensor()});
}

Tensor Logits(const LanguageModel& model, const PackedBatch& batch) {
  return LogitsOf(model, model.Hidden(batch, {}));
}

}  // namespace tributary::trainer

// The pass of strategies that need one weighted sum of the updates.
#include <algorithm>

#include "aggregators/file_round_passes.h"
#include "aggregators/weighted_sum.h"

namespace tributary::aggregators {

// The outputs of the stretch are loaded.
void FileRound::SumStretch(const Stretch& stretch, std::span<const float> coefficients,
                           const SumKernel& kernel, BlockScratch* scratch) const {
  const std::size_t block = input_.block > 0 ? input_.block : kSumPiece;
  scratch->sum.resize(block);
  for (std::size_t at = 0; at < stretch.count; at += block) {
    const std::size_t count = std::min(block, stretch.count - at);
    const std::span<float> sum = std::span(scratch->sum).first(count);
    scratch->sources.Form(updates_, coefficients, stretch.tensor, stretch.begin + at, sum);
    for (std::size_t s = 0; s < scratch->state.size(); ++s) {
      scratch->state[s] = std::span(scratch->out[1 + s]).subspan(at, count);
    }
    kernel({manifest_[stretch.tensor].name,
            stretch.tensor,
            stretch.begin + at,
            {},
            {},
            std::span(scratch->out[0]).subspan(at, count),
            scratch->state},
           sum);
  }
}

Status FileRound::FoldSum(std::span<const float> coefficients, std::span<const std::string> state,
                          const SumKernel& kernel) {
  if (coefficients.size() != updates_.size()) {
    return InternalError("the strategy has " + std::to_string(coefficients.size()) +
                         " coefficients for " + std::to_string(updates_.size()) + " updates");
  }
  return MakeVectors(state, [&](const Stretch& stretch, std::span<const OpenUpdate> vectors,
                                BlockScratch* scratch) {
    LoadOutputs(stretch, vectors, scratch);
    SumStretch(stretch, coefficients, kernel, scratch);
  });
}

}  // namespace tributary::aggregators

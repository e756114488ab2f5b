#include "aggregators/source_sum.h"

#include <algorithm>

#include "aggregators/weighted_sum.h"

namespace tributary::aggregators {
namespace {

// Of all updates together: they stay in the L2 cache.
constexpr std::size_t kWidened = std::size_t{32} << 10;
constexpr std::size_t kLeastWidened = std::size_t{1} << 10;

}  // namespace

void SourceSum::Form(std::span<const OpenUpdate> updates, std::span<const float> coefficients,
                     std::size_t tensor, std::size_t offset, std::span<float> sum) {
  if (!updates.empty() && std::all_of(updates.begin(), updates.end(), [&](const OpenUpdate& u) {
        return u.tensors[tensor].IsBf16();
      })) {
    halves_.clear();
    for (const OpenUpdate& update : updates) {
      halves_.push_back(update.tensors[tensor].Halves(offset, sum.size()));
    }
    WeightedSum(halves_, coefficients, 0, sum);
    return;
  }
  const bool in_place = std::all_of(updates.begin(), updates.end(), [&](const OpenUpdate& update) {
    return update.tensors[tensor].InPlace();
  });
  const std::size_t fitting =
      std::max(kLeastWidened, kWidened / std::max<std::size_t>(1, updates.size()));
  const std::size_t block = in_place ? sum.size() : fitting;
  if (!in_place) widened_.resize(block * updates.size());
  for (std::size_t at = 0; at < sum.size(); at += block) {
    const std::span<float> part = sum.subspan(at, std::min(block, sum.size() - at));
    floats_.clear();
    float* widened = widened_.data();
    for (const OpenUpdate& update : updates) {
      floats_.push_back(update.tensors[tensor].Read(offset + at, part.size(), widened));
      if (!in_place) widened += block;
    }
    WeightedSum(floats_, coefficients, 0, part);
  }
}

}  // namespace tributary::aggregators

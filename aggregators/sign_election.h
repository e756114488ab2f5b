// The election of TIES (algorithms.md A.14): conflicting signs are settled coordinate by
// coordinate.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "aggregators/round.h"
#include "core/status.h"

namespace tributary::aggregators {

// out[i]: the mean of those of the rows' values at i that have the sign of their sum; zeros take no
// part, and a sum of zero elects plus. Row k is rows[k * stride ...].
void ElectSigns(std::span<const float> rows, std::size_t count, std::size_t stride,
                std::span<float> out);

// What a strategy leaves of the update of contribution `site`: fills `kept`, as long as `update`.
// `offset` is that of its first parameter in the block's tensor.
using KeepPart = std::function<void(const Block& block, std::size_t site, std::size_t offset,
                                    std::span<const float> update, std::span<float> kept)>;
enum class Merge { kMean, kSignElection };

// x <- x + factor * merge(kept parts). Makes the next version.
Status AddMerged(Round& round, Merge merge, double factor, const KeepPart& keep);

}  // namespace tributary::aggregators

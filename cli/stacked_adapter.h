// One PEFT adapter that is worth an adapter and the products that a campaign added to the base
// weights: their factors side by side, at a higher rank. Exact, up to rounding of one factor.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/status.h"

namespace tributary::cli {

// Writes to `out` an adapter of scale `scale` from the one at `adapter`, of the same scale, and
// `products` ("<module>.merged_A.weight", "<module>.merged_B.weight"). Returns its rank. A module
// with fewer ranks than others is filled up with zeros.
Result<std::int64_t> StackProducts(const std::string& adapter,
                                   const std::vector<std::string>& products, double scale,
                                   const std::string& out);

}  // namespace tributary::cli

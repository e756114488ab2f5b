// The weighted sum of one tensor of many update files, from values as they lie there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "aggregators/update_file.h"

namespace tributary::aggregators {

// Of one thread. The sums are those of weighted_sum.h over the widened values.
class SourceSum {
 public:
  // sum[i] = c_0 u_0[offset + i] + c_1 u_1[offset + i] + ..., u_k being tensor number `tensor` of
  // updates[k].
  void Form(std::span<const OpenUpdate> updates, std::span<const float> coefficients,
            std::size_t tensor, std::size_t offset, std::span<float> sum);

 private:
  std::vector<float> widened_;
  std::vector<std::span<const float>> floats_;
  std::vector<std::span<const std::uint16_t>> halves_;
};

}  // namespace tributary::aggregators

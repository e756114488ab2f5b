// Weighted sums of vectors, from memory as fast as it gives them. As with kernels.h, every
// instruction set gives the same bits.
//
// Any thread; no state.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace tributary::aggregators {

// sum[i] = c_0 u_0[at + i] + c_1 u_1[at + i] + ..., in this order; in fp32, with more than 64
// vectors in fp64.
void WeightedSum(std::span<const std::span<const float>> vectors,
                 std::span<const float> coefficients, std::size_t at, std::span<float> sum);

// The same of vectors in bf16, which become fp32 on the way: the bits are those of the widened
// vectors.
void WeightedSum(std::span<const std::span<const std::uint16_t>> vectors,
                 std::span<const float> coefficients, std::size_t at, std::span<float> sum);

// Parameters of a sum that stays in the nearest caches.
inline constexpr std::size_t kSumPiece = 8192;

// Calls use(at, sum) with the weighted sum of [at, at + sum.size()), for all of the vectors piece
// by piece.
template <typename Vectors, typename Use>
void ForWeightedSum(const Vectors& vectors, std::span<const float> coefficients, std::size_t count,
                    Use&& use) {
  std::array<float, kSumPiece> buffer;
  for (std::size_t at = 0; at < count; at += kSumPiece) {
    const std::span<float> sum(buffer.data(), std::min(kSumPiece, count - at));
    WeightedSum(vectors, coefficients, at, sum);
    use(at, std::span<const float>(sum));
  }
}

}  // namespace tributary::aggregators

// The inner loops: conversion, inner products, order. Every instruction set gives the same
// bits: lanes and their order are fixed here, and products are never fused into sums.
//
// Any thread; no state.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace tributary::aggregators {

using Vectors = std::span<const std::span<const float>>;

// Exact; NaN stays NaN.
void WidenF16(std::span<const std::uint16_t> in, float* out);
void WidenBf16(std::span<const std::uint16_t> in, float* out);
// out = scale * in, rounded once.
void WidenI8(std::span<const std::int8_t> in, float scale, float* out);

// In fp64; of finite values it is finite.
double SumOfSquares(std::span<const float> values);
bool AllFinite(std::span<const float> values);

// gram[i * n + j] += <v_i, v_j> for j >= i, n vectors of one length, in fp64.
void AddGram(Vectors vectors, double* gram);

// Sorts every column of a matrix whose rows are given. Made once for a number of rows.
class ColumnSorter {
 public:
  static constexpr std::size_t kTile = 64;  // columns at a time

  // Some columns, sorted; each thread has its own.
  struct Tile {
    std::vector<std::int32_t> keys;  // scratch
    std::vector<float> values;
    // The values of rank `r` of all columns, ascending with r.
    const float* Row(std::size_t r) const { return values.data() + r * kTile; }
  };

  explicit ColumnSorter(std::size_t rows);

  // Columns at .. at + count - 1, count <= kTile. A total order: -0 before 0.
  void Sort(Vectors vectors, std::size_t at, std::size_t count, Tile* tile) const;

 private:
  std::size_t rows_;
  std::vector<std::uint32_t> network_;  // pairs of rows; Batcher's odd-even merge sort
};

// Counts of values by the leading 16 of the 31 bits of their magnitude, added to `counts` (2^16);
// and by the trailing 15, of those whose leading bits are `leading` (2^15).
void CountLeadingBits(std::span<const float> values, std::span<std::uint64_t> counts);
void CountTrailingBits(std::span<const float> values, std::uint32_t leading,
                       std::span<std::uint64_t> counts);

}  // namespace tributary::aggregators

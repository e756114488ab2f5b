#include "aggregators/kernels.h"

#include <bit>
#include <cstring>

#include "aggregators/dispatch.h"

namespace tributary::aggregators {
namespace {

TRIBUTARY_BODY void F16Body(const std::uint16_t* __restrict in, std::size_t count,
                            float* __restrict out) {
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t half = in[i];
    // The exponent moves from bias 15 to bias 127 by an exact product; subnormals come out right.
    const float scaled = std::bit_cast<float>((half & 0x7fffU) << 13) * 0x1p112F;
    const std::uint32_t special = (half & 0x7c00U) == 0x7c00U ? 0x7f800000U : 0U;
    out[i] = std::bit_cast<float>(std::bit_cast<std::uint32_t>(scaled) | special |
                                  (half & 0x8000U) << 16);
  }
}
TRIBUTARY_DISPATCH(F16, (const std::uint16_t* in, std::size_t count, float* out), (in, count, out))

TRIBUTARY_BODY void Bf16Body(const std::uint16_t* __restrict in, std::size_t count,
                             float* __restrict out) {
  for (std::size_t i = 0; i < count; ++i) {
    out[i] = std::bit_cast<float>(static_cast<std::uint32_t>(in[i]) << 16);
  }
}
TRIBUTARY_DISPATCH(Bf16, (const std::uint16_t* in, std::size_t count, float* out), (in, count, out))

TRIBUTARY_BODY void I8Body(const std::int8_t* __restrict in, std::size_t count, float scale,
                           float* __restrict out) {
  for (std::size_t i = 0; i < count; ++i) out[i] = scale * static_cast<float>(in[i]);
}
TRIBUTARY_DISPATCH(I8, (const std::int8_t* in, std::size_t count, float scale, float* out),
                   (in, count, scale, out))

// Four lanes of fp64, in two registers where there are no wider ones.
using Lanes = double __attribute__((vector_size(32)));

TRIBUTARY_BODY double Total(const Lanes& lanes) {
  return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
}

TRIBUTARY_BODY void Load(const double* from, Lanes& lanes) {
  std::memcpy(&lanes, from, sizeof lanes);
}

TRIBUTARY_BODY void SquaresBody(const float* values, std::size_t count, double* sum) {
  constexpr std::size_t kLanes = 16;
  double lanes[kLanes] = {};
  std::size_t at = 0;
  for (; at + kLanes <= count; at += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const double value = values[at + lane];
      lanes[lane] += value * value;
    }
  }
  for (; at < count; ++at) lanes[0] += static_cast<double>(values[at]) * values[at];
  *sum = 0;
  for (const double lane : lanes) *sum += lane;
}
TRIBUTARY_DISPATCH(Squares, (const float* values, std::size_t count, double* sum),
                   (values, count, sum))

TRIBUTARY_BODY void FiniteBody(const float* values, std::size_t count, std::uint32_t* bad) {
  std::uint32_t found = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t magnitude = std::bit_cast<std::uint32_t>(values[i]) & 0x7fffffffU;
    found |= magnitude >= 0x7f800000U ? 1U : 0U;
  }
  *bad = found;
}
TRIBUTARY_DISPATCH(Finite, (const float* values, std::size_t count, std::uint32_t* bad),
                   (values, count, bad))

constexpr std::size_t kGramTile = 256;  // parameters; a multiple of the lanes

// One row of the Gram matrix of a tile: `row` against `n` tiles from `others` on.
TRIBUTARY_BODY void GramRowBody(const double* row, const double* others, std::size_t n,
                                double* gram) {
  std::size_t j = 0;
  for (; j + 4 <= n; j += 4) {
    const double* b = others + j * kGramTile;
    Lanes s0{}, s1{}, s2{}, s3{};
    for (std::size_t i = 0; i < kGramTile; i += 4) {
      Lanes a, b0, b1, b2, b3;
      Load(row + i, a);
      Load(b + i, b0);
      Load(b + kGramTile + i, b1);
      Load(b + 2 * kGramTile + i, b2);
      Load(b + 3 * kGramTile + i, b3);
      s0 += a * b0;
      s1 += a * b1;
      s2 += a * b2;
      s3 += a * b3;
    }
    gram[j] += Total(s0);
    gram[j + 1] += Total(s1);
    gram[j + 2] += Total(s2);
    gram[j + 3] += Total(s3);
  }
  for (; j < n; ++j) {
    Lanes s{};
    for (std::size_t i = 0; i < kGramTile; i += 4) {
      Lanes a, b;
      Load(row + i, a);
      Load(others + j * kGramTile + i, b);
      s += a * b;
    }
    gram[j] += Total(s);
  }
}

// `tile` holds kGramTile fp64 values of every vector.
TRIBUTARY_BODY void GramBody(const std::span<const float>* vectors, std::size_t n, double* tile,
                             double* gram) {
  const std::size_t count = n == 0 ? 0 : vectors[0].size();
  for (std::size_t at = 0; at < count; at += kGramTile) {
    const std::size_t piece = std::min(kGramTile, count - at);
    for (std::size_t k = 0; k < n; ++k) {
      const float* from = vectors[k].data() + at;
      double* to = tile + k * kGramTile;
      for (std::size_t i = 0; i < piece; ++i) to[i] = from[i];
      for (std::size_t i = piece; i < kGramTile; ++i) to[i] = 0;
    }
    for (std::size_t i = 0; i < n; ++i) {
      GramRowBody(tile + i * kGramTile, tile + i * kGramTile, n - i, gram + i * n + i);
    }
  }
}
TRIBUTARY_DISPATCH(Gram,
                   (const std::span<const float>* vectors, std::size_t n, double* tile,
                    double* gram),
                   (vectors, n, tile, gram))

constexpr std::size_t kTile = ColumnSorter::kTile;

// An order-preserving map between floats and integers, its own inverse.
TRIBUTARY_BODY std::int32_t Key(std::int32_t bits) { return bits ^ ((bits >> 31) & 0x7fffffff); }

TRIBUTARY_BODY void ToKeysBody(const float* in, std::size_t count, std::int32_t* __restrict keys) {
  for (std::size_t i = 0; i < count; ++i) keys[i] = Key(std::bit_cast<std::int32_t>(in[i]));
  for (std::size_t i = count; i < kTile; ++i) keys[i] = 0;
}
TRIBUTARY_DISPATCH(ToKeys, (const float* in, std::size_t count, std::int32_t* keys),
                   (in, count, keys))

TRIBUTARY_BODY void ExchangeBody(const std::uint32_t* pairs, std::size_t count,
                                 std::int32_t* rows) {
  for (std::size_t p = 0; p < count; ++p) {
    std::int32_t* __restrict low = rows + pairs[2 * p] * kTile;
    std::int32_t* __restrict high = rows + pairs[2 * p + 1] * kTile;
    for (std::size_t i = 0; i < kTile; ++i) {
      const std::int32_t a = low[i];
      const std::int32_t b = high[i];
      low[i] = a < b ? a : b;
      high[i] = a < b ? b : a;
    }
  }
}
TRIBUTARY_DISPATCH(Exchange, (const std::uint32_t* pairs, std::size_t count, std::int32_t* rows),
                   (pairs, count, rows))

TRIBUTARY_BODY void FromKeysBody(const std::int32_t* keys, std::size_t count,
                                 float* __restrict out) {
  for (std::size_t i = 0; i < count; ++i) out[i] = std::bit_cast<float>(Key(keys[i]));
}
TRIBUTARY_DISPATCH(FromKeys, (const std::int32_t* keys, std::size_t count, float* out),
                   (keys, count, out))

std::uint32_t Magnitude(float value) { return std::bit_cast<std::uint32_t>(value) & 0x7fffffffU; }

}  // namespace

void WidenF16(std::span<const std::uint16_t> in, float* out) { F16Best(in.data(), in.size(), out); }
void WidenBf16(std::span<const std::uint16_t> in, float* out) {
  Bf16Best(in.data(), in.size(), out);
}
void WidenI8(std::span<const std::int8_t> in, float scale, float* out) {
  I8Best(in.data(), in.size(), scale, out);
}

double SumOfSquares(std::span<const float> values) {
  double sum = 0;
  SquaresBest(values.data(), values.size(), &sum);
  return sum;
}

bool AllFinite(std::span<const float> values) {
  std::uint32_t bad = 0;
  FiniteBest(values.data(), values.size(), &bad);
  return bad == 0;
}

void AddGram(Vectors vectors, double* gram) {
  std::vector<double> tile(vectors.size() * kGramTile);
  GramBest(vectors.data(), vectors.size(), tile.data(), gram);
}

ColumnSorter::ColumnSorter(std::size_t rows) : rows_(rows) {
  // The network for the next power of two, without the exchanges that touch rows which are not
  // there: those would hold infinity and never move.
  const std::size_t whole = std::bit_ceil(std::max<std::size_t>(rows, 1));
  for (std::size_t p = 1; p < whole; p *= 2) {
    for (std::size_t k = p; k >= 1; k /= 2) {
      for (std::size_t j = k % p; j + k < whole; j += 2 * k) {
        for (std::size_t i = 0; i < k; ++i) {
          const std::size_t low = i + j;
          const std::size_t high = i + j + k;
          if (high < rows && low / (2 * p) == high / (2 * p)) {
            network_.push_back(static_cast<std::uint32_t>(low));
            network_.push_back(static_cast<std::uint32_t>(high));
          }
        }
      }
    }
  }
}

void ColumnSorter::Sort(Vectors vectors, std::size_t at, std::size_t count, Tile* tile) const {
  // Integers order as their floats do, have minimum and maximum everywhere, and NaNs do no harm.
  tile->keys.resize(rows_ * kTile);
  tile->values.resize(rows_ * kTile);
  std::int32_t* keys = tile->keys.data();
  for (std::size_t r = 0; r < rows_; ++r) {
    ToKeysBest(vectors[r].data() + at, count, keys + r * kTile);
  }
  ExchangeBest(network_.data(), network_.size() / 2, keys);
  FromKeysBest(keys, rows_ * kTile, tile->values.data());
}

void CountLeadingBits(std::span<const float> values, std::span<std::uint64_t> counts) {
  for (const float value : values) ++counts[Magnitude(value) >> 15];
}

void CountTrailingBits(std::span<const float> values, std::uint32_t leading,
                       std::span<std::uint64_t> counts) {
  for (const float value : values) {
    const std::uint32_t magnitude = Magnitude(value);
    if (magnitude >> 15 == leading) ++counts[magnitude & 0x7fffU];
  }
}

}  // namespace tributary::aggregators

#include "aggregators/weighted_sum.h"

#include <bit>
#include <cstring>

#include "aggregators/dispatch.h"

namespace tributary::aggregators {
namespace {

constexpr std::size_t kMostInFp32 = 64;

// Eight lanes, in two registers where there are no wider ones.
using Floats = float __attribute__((vector_size(32)));
using Words = std::uint32_t __attribute__((vector_size(32)));
constexpr std::size_t kLanes = 8;

// Sixteen consecutive parameters in two vectors. Which ones each holds depends on what is read.
struct Sixteen {
  Floats first;
  Floats second;
};

// Of fp32: the lower and the upper eight.
TRIBUTARY_BODY void LoadSixteen(const float* from, Sixteen& values) {
  std::memcpy(&values.first, from, sizeof values.first);
  std::memcpy(&values.second, from + kLanes, sizeof values.second);
}
TRIBUTARY_BODY void LoadSum(const float*, const float* from, Sixteen& sum) {
  LoadSixteen(from, sum);
}
TRIBUTARY_BODY void StoreSum(const float*, const Sixteen& sum, float* to) {
  std::memcpy(to, &sum.first, sizeof sum.first);
  std::memcpy(to + kLanes, &sum.second, sizeof sum.second);
}
TRIBUTARY_BODY float Widen(float value) { return value; }

// Of bf16: the even and the odd ones, each by one instruction; the sums are rearranged instead.
TRIBUTARY_BODY void LoadSixteen(const std::uint16_t* from, Sixteen& values) {
  Words words;
  std::memcpy(&words, from, sizeof words);
  values.first = reinterpret_cast<Floats>(words << 16);
  values.second = reinterpret_cast<Floats>(words & 0xffff0000U);
}
TRIBUTARY_BODY void LoadSum(const std::uint16_t*, const float* from, Sixteen& sum) {
  Sixteen halves;
  LoadSixteen(from, halves);
  sum.first = __builtin_shufflevector(halves.first, halves.second, 0, 2, 4, 6, 8, 10, 12, 14);
  sum.second = __builtin_shufflevector(halves.first, halves.second, 1, 3, 5, 7, 9, 11, 13, 15);
}
TRIBUTARY_BODY void StoreSum(const std::uint16_t*, const Sixteen& sum, float* to) {
  const Sixteen halves{__builtin_shufflevector(sum.first, sum.second, 0, 8, 1, 9, 2, 10, 3, 11),
                       __builtin_shufflevector(sum.first, sum.second, 4, 12, 5, 13, 6, 14, 7, 15)};
  StoreSum(to, halves, to);
}
TRIBUTARY_BODY float Widen(std::uint16_t half) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(half) << 16);
}
static_assert(std::endian::native == std::endian::little);

// Bytes ahead of the reader. The processor's own prefetching stops at page boundaries, and each
// vector has one every four kilobytes.
constexpr std::size_t kAhead = 1024;

// sum += c_0 u_0 + ... of `kGroup` vectors, in this order.
template <std::size_t kGroup, typename Value>
TRIBUTARY_BODY void AddGroup(const std::span<const Value>* vectors, const float* coefficients,
                             std::size_t at, std::size_t count, float* __restrict sum) {
  const Value* u[kGroup];
  for (std::size_t g = 0; g < kGroup; ++g) u[g] = vectors[g].data() + at;
  std::size_t i = 0;
  for (; i + 2 * kLanes <= count; i += 2 * kLanes) {
    Sixteen total;
    LoadSum(u[0], sum + i, total);
#pragma GCC unroll 8
    for (std::size_t g = 0; g < kGroup; ++g) {
      Sixteen x;
      LoadSixteen(u[g] + i, x);
      __builtin_prefetch(u[g] + i + kAhead / sizeof(Value));
      total.first += coefficients[g] * x.first;
      total.second += coefficients[g] * x.second;
    }
    StoreSum(u[0], total, sum + i);
  }
  for (; i < count; ++i) {
    for (std::size_t g = 0; g < kGroup; ++g) sum[i] += coefficients[g] * Widen(u[g][i]);
  }
}

template <typename Value>
TRIBUTARY_BODY void SumBody(const std::span<const Value>* vectors, const float* coefficients,
                            std::size_t sites, std::size_t at, std::size_t count,
                            float* __restrict sum) {
  for (std::size_t i = 0; i < count; ++i) sum[i] = 0;
  std::size_t k = 0;
  for (; k + 8 <= sites; k += 8) AddGroup<8>(vectors + k, coefficients + k, at, count, sum);
  for (; k + 2 <= sites; k += 2) AddGroup<2>(vectors + k, coefficients + k, at, count, sum);
  for (; k < sites; ++k) AddGroup<1>(vectors + k, coefficients + k, at, count, sum);
}

template <typename Value>
TRIBUTARY_BODY void WideSumBody(const std::span<const Value>* vectors, const float* coefficients,
                                std::size_t sites, std::size_t at, std::size_t count,
                                float* __restrict sum) {
  constexpr std::size_t kPiece = 512;
  double wide[kPiece];
  for (std::size_t begin = 0; begin < count; begin += kPiece) {
    const std::size_t piece = std::min(kPiece, count - begin);
    for (std::size_t i = 0; i < piece; ++i) wide[i] = 0;
    for (std::size_t k = 0; k < sites; ++k) {
      const Value* update = vectors[k].data() + at + begin;
      const double coefficient = coefficients[k];
      for (std::size_t i = 0; i < piece; ++i) wide[i] += coefficient * Widen(update[i]);
    }
    for (std::size_t i = 0; i < piece; ++i) sum[begin + i] = static_cast<float>(wide[i]);
  }
}

template <typename Value>
TRIBUTARY_BODY void AnyBody(const std::span<const Value>* vectors, const float* coefficients,
                            std::size_t sites, std::size_t at, std::size_t count, float* sum) {
  if (sites <= kMostInFp32) {
    SumBody(vectors, coefficients, sites, at, count, sum);
  } else {
    WideSumBody(vectors, coefficients, sites, at, count, sum);
  }
}

TRIBUTARY_BODY void FloatsBody(const std::span<const float>* vectors, const float* coefficients,
                               std::size_t sites, std::size_t at, std::size_t count, float* sum) {
  AnyBody(vectors, coefficients, sites, at, count, sum);
}
TRIBUTARY_DISPATCH(Floats,
                   (const std::span<const float>* vectors, const float* coefficients,
                    std::size_t sites, std::size_t at, std::size_t count, float* sum),
                   (vectors, coefficients, sites, at, count, sum))

TRIBUTARY_BODY void HalvesBody(const std::span<const std::uint16_t>* vectors,
                               const float* coefficients, std::size_t sites, std::size_t at,
                               std::size_t count, float* sum) {
  AnyBody(vectors, coefficients, sites, at, count, sum);
}
TRIBUTARY_DISPATCH(Halves,
                   (const std::span<const std::uint16_t>* vectors, const float* coefficients,
                    std::size_t sites, std::size_t at, std::size_t count, float* sum),
                   (vectors, coefficients, sites, at, count, sum))

}  // namespace

void WeightedSum(std::span<const std::span<const float>> vectors,
                 std::span<const float> coefficients, std::size_t at, std::span<float> sum) {
  FloatsBest(vectors.data(), coefficients.data(), vectors.size(), at, sum.size(), sum.data());
}

void WeightedSum(std::span<const std::span<const std::uint16_t>> vectors,
                 std::span<const float> coefficients, std::size_t at, std::span<float> sum) {
  HalvesBest(vectors.data(), coefficients.data(), vectors.size(), at, sum.size(), sum.data());
}

}  // namespace tributary::aggregators

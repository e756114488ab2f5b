#include "aggregators/weighted_sum.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "aggregators/kernels.h"
#include "tests/aggregators/round_harness.h"

namespace tributary::aggregators {
namespace {

TEST(WeightedSumTest, SumsDoNotDependOnWhereTheyAreCut) {
  std::vector<std::vector<float>> rows;
  std::vector<std::span<const float>> vectors;
  std::vector<float> c;
  for (std::size_t k = 0; k < 70; ++k) rows.push_back(RandomFloats(5000, k));
  for (const auto& row : rows) {
    vectors.emplace_back(row);
    c.push_back(0.1F * static_cast<float>(vectors.size()));
    std::vector<float> whole(5000);
    if (vectors.size() != 1 && vectors.size() != 7 && vectors.size() < 64) continue;
    WeightedSum(vectors, c, 0, whole);
    for (const std::size_t piece : {1U, 17U, 513U}) {
      std::vector<float> sum(5000);
      for (std::size_t at = 0; at < 5000; at += piece) {
        WeightedSum(vectors, c, at, std::span(sum).subspan(at, std::min(piece, 5000 - at)));
      }
      EXPECT_EQ(sum, whole) << vectors.size() << " " << piece;
    }
  }
}

TEST(WeightedSumTest, OfBf16IsThatOfTheWidenedValues) {
  for (const std::size_t sites : {1U, 2U, 3U, 8U, 13U, 16U, 65U}) {
    std::vector<std::vector<std::uint16_t>> halves(sites);
    std::vector<std::vector<float>> floats(sites);
    std::vector<std::span<const std::uint16_t>> from;
    std::vector<std::span<const float>> widened;
    std::vector<float> c;
    for (std::size_t k = 0; k < sites; ++k) {
      for (std::uint32_t i = 0; i < 1000; ++i) {
        halves[k].push_back(static_cast<std::uint16_t>(0x3a00 + (i * 7919 + k * 104729) % 0x400 +
                                                       (i % 3 == 0 ? 0x8000 : 0)));
      }
      floats[k].resize(1000);
      WidenBf16(halves[k], floats[k].data());
      from.emplace_back(halves[k]);
      widened.emplace_back(floats[k]);
      c.push_back(1 / static_cast<float>(k + 3));
    }
    for (const std::size_t at : {0U, 5U}) {
      for (const std::size_t count : {1U, 15U, 16U, 995U}) {
        std::vector<float> sum(count, NAN);
        std::vector<float> expected(count, NAN);
        WeightedSum(from, c, at, sum);
        WeightedSum(widened, c, at, expected);
        EXPECT_EQ(sum, expected) << sites << " " << at << " " << count;
      }
    }
  }
}

}  // namespace
}  // namespace tributary::aggregators

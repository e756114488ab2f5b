#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "aggregators/kernels.h"
#include "tests/aggregators/round_harness.h"

namespace tributary::aggregators {
namespace {

using testing::ElementsAre;
using testing::FloatNear;
using testing::HasSubstr;
using testing::Pointwise;

using testing::ElementsAreArray;

TEST(KernelsTest, HalvesAreWidenedExactly) {  // all of them, against the definition
  for (std::uint32_t h = 0; h < 0x10000; ++h) {
    const auto half = static_cast<std::uint16_t>(h);
    const int exponent = static_cast<int>(h >> 10 & 0x1f);
    const double fraction = static_cast<double>(h & 0x3ff) / 1024;
    double expected =
        exponent == 0 ? std::ldexp(fraction, -14) : std::ldexp(1 + fraction, exponent - 15);
    if (exponent == 31) expected = fraction == 0 ? HUGE_VAL : NAN;
    float out = 0;
    WidenF16({&half, 1}, &out);
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(out)) << h;
      continue;
    }
    ASSERT_EQ(out, static_cast<float>((h & 0x8000) != 0 ? -expected : expected)) << h;
    ASSERT_EQ(std::signbit(out), (h & 0x8000) != 0) << h;
  }
}

TEST(KernelsTest, SmallIntegersAndBf16AreWidened) {
  const std::vector<std::uint16_t> bf16 = {0x3f80, 0xbf80, 0x4049, 0x0001};
  std::vector<float> out(4);
  WidenBf16(bf16, out.data());
  EXPECT_THAT(out, ElementsAre(1, -1, 3.140625F, std::ldexp(1.0F, -133)));
  const std::vector<std::int8_t> i8 = {-128, 0, 127};
  WidenI8(i8, 0.5F, out.data());
  EXPECT_THAT(std::span(out).first(3), ElementsAre(-64, 0, 63.5F));
}

TEST(KernelsTest, ColumnsAreSortedForAnyNumberOfRows) {
  for (std::size_t rows = 1; rows <= 40; ++rows) {
    std::vector<std::vector<float>> data;
    std::vector<std::span<const float>> vectors;
    for (std::size_t r = 0; r < rows; ++r) data.push_back(RandomFloats(100, 100 * rows + r));
    data[0][70] = -0.0F;
    data[rows - 1][70] = 0.0F;
    for (const auto& row : data) vectors.emplace_back(row);
    ColumnSorter::Tile tile;
    ColumnSorter(rows).Sort(vectors, 60, 40, &tile);
    for (std::size_t i = 0; i < 40; ++i) {
      std::vector<float> column;
      for (const auto& row : data) column.push_back(row[60 + i]);
      std::sort(column.begin(), column.end());
      for (std::size_t r = 0; r < rows; ++r) ASSERT_EQ(tile.Row(r)[i], column[r]) << rows;
    }
  }
}

TEST(KernelsTest, FindsWhatIsNotFinite) {
  std::vector<float> values = RandomFloats(100, 1);
  EXPECT_TRUE(AllFinite(values));
  values[50] = std::numeric_limits<float>::max();
  EXPECT_TRUE(AllFinite(values));
  for (const float bad : {NAN, HUGE_VALF, -HUGE_VALF}) {
    values[99] = bad;
    EXPECT_FALSE(AllFinite(values));
    EXPECT_FALSE(std::isfinite(SumOfSquares(values)));
  }
}

}  // namespace
}  // namespace tributary::aggregators

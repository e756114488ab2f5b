#include "trainer/rope.h"

#include <gtest/gtest.h>

#include <cmath>

namespace tributary::trainer {
namespace {

TEST(RopeTest, FrequenciesFallGeometrically) {
  const auto frequencies = RotaryFrequencies(8, 10000, {});
  ASSERT_EQ(frequencies.size(), 4U);
  EXPECT_DOUBLE_EQ(frequencies[0], 1);
  EXPECT_NEAR(frequencies[1], 0.1, 1e-12);
  EXPECT_NEAR(frequencies[3], 0.001, 1e-12);
}

TEST(RopeTest, LinearScalingDividesAllOfThem) {
  RopeScaling scaling;
  scaling.kind = RopeScaling::Kind::kLinear;
  scaling.factor = 4;
  EXPECT_DOUBLE_EQ(RotaryFrequencies(8, 10000, scaling)[0], 0.25);
  EXPECT_NEAR(RotaryFrequencies(8, 10000, scaling)[3], 0.00025, 1e-12);
}

// Wavelengths of theta 10000 and 8 dimensions: 6.28, 62.8, 628, 6283.
TEST(RopeTest, Llama3KeepsShortWavesDividesLongOnesAndMixesBetween) {
  RopeScaling scaling;
  scaling.kind = RopeScaling::Kind::kLlama3;
  scaling.factor = 8;
  scaling.low_freq_factor = 1;
  scaling.high_freq_factor = 4;
  scaling.original_positions = 100;
  const auto frequencies = RotaryFrequencies(8, 10000, scaling);
  EXPECT_DOUBLE_EQ(frequencies[0], 1);
  const double kept = (100 / (2 * M_PI / 0.1) - 1) / 3;
  EXPECT_NEAR(frequencies[1], (1 - kept) * 0.1 / 8 + kept * 0.1, 1e-12);
  EXPECT_NEAR(frequencies[2], 0.01 / 8, 1e-12);
  EXPECT_NEAR(frequencies[3], 0.001 / 8, 1e-12);
}

}  // namespace
}  // namespace tributary::trainer

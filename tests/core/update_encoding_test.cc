#include "core/update_encoding.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "core/random.h"

namespace tributary {
namespace {

using testing::ElementsAre;

TEST(UpdateEncodingTest, Bf16RoundsToTheNearestAndTiesToEven) {
  EXPECT_EQ(ToBf16(1.0F), 0x3f80);
  EXPECT_EQ(ToBf16(-2.0F), 0xc000);
  // One unit in the last place of bf16 at 1 is 2^-7.
  EXPECT_EQ(ToBf16(1.0F + 0x1p-8F), 0x3f80);             // a tie: to even, down
  EXPECT_EQ(ToBf16(1.0F + 3 * 0x1p-8F), 0x3f82);         // a tie: to even, up
  EXPECT_EQ(ToBf16(1.0F + 0x1p-8F + 0x1p-20F), 0x3f81);  // over the half
  EXPECT_EQ(ToBf16(-0.0F), 0x8000);
  EXPECT_EQ(ToBf16(0x1p-140F), 0x0000);
}

TEST(UpdateEncodingTest, Int8TakesItsScaleFromTheLargest) {
  const std::vector<float> group = {0.5F, -1.27F, 0.004F, 0};
  const float scale = ScaleOf(group);
  EXPECT_FLOAT_EQ(scale, 0.01F);
  EXPECT_EQ(ToI8(group[0], scale), 50);
  EXPECT_EQ(ToI8(group[1], scale), -127);
  EXPECT_EQ(ToI8(group[2], scale), 0);
  EXPECT_EQ(ScaleOf(std::vector<float>{0, 0}), 0);
  EXPECT_EQ(ToI8(0, 0), 0);
}

TEST(UpdateEncodingTest, GroupsHaveScalesOfTheirOwn) {
  std::vector<float> values(kScaleGroup + 2, 1.0F);
  values[kScaleGroup] = 1e-3F;
  values[kScaleGroup + 1] = -1e-3F;
  RoundTrip(UpdateDtype::kI8, values);
  EXPECT_NEAR(values[kScaleGroup], 1e-3F, 1e-9);
  EXPECT_NEAR(values[kScaleGroup + 1], -1e-3F, 1e-9);
}

// sent + residual = what was to be sent, exactly where both are floats of the same size.
TEST(UpdateEncodingTest, WhatRoundingTakesIsAtMostHalfAStep) {
  SplitMix64 random(3);
  std::vector<float> values(10'000);
  for (float& value : values) value = static_cast<float>(random.Unit() * 2 - 1);
  std::vector<float> bf16 = values;
  RoundTrip(UpdateDtype::kBf16, bf16);
  std::vector<float> int8 = values;
  RoundTrip(UpdateDtype::kI8, int8);
  for (std::size_t i = 0; i < values.size(); ++i) {
    EXPECT_LE(std::abs(bf16[i] - values[i]), std::abs(values[i]) * 0x1p-8F);
    EXPECT_EQ(bf16[i] + (values[i] - bf16[i]), values[i]);
    EXPECT_LE(std::abs(int8[i] - values[i]), 1.001 * 0.5 / 127);
  }
}

TEST(UpdateEncodingTest, TheManifestNamesTheScales) {
  const Manifest manifest = {{"a", DType::kF32, {2, 3000}}, {"b", DType::kF32, {5}}};
  EXPECT_EQ(EncodedManifest(manifest, UpdateDtype::kF32), manifest);
  EXPECT_THAT(
      EncodedManifest(manifest, UpdateDtype::kBf16),
      ElementsAre(TensorSpec{"a", DType::kBf16, {2, 3000}}, TensorSpec{"b", DType::kBf16, {5}}));
  EXPECT_THAT(
      EncodedManifest(manifest, UpdateDtype::kI8),
      ElementsAre(TensorSpec{"a", DType::kI8, {2, 3000}}, TensorSpec{"a.scale", DType::kF32, {2}},
                  TensorSpec{"b", DType::kI8, {5}}, TensorSpec{"b.scale", DType::kF32, {1}}));
}

}  // namespace
}  // namespace tributary

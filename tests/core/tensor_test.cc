#include "core/tensor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tributary {
namespace {

TEST(TensorTest, DTypesRoundTripThroughTheirNames) {
  const std::vector<std::pair<std::string, std::size_t>> table = {
      {"F64", 8}, {"F32", 4}, {"F16", 2}, {"BF16", 2}, {"I64", 8},
      {"I32", 4}, {"I16", 2}, {"I8", 1},  {"U8", 1},   {"BOOL", 1}};
  for (const auto& [name, bytes] : table) {
    const auto dtype = ParseDType(name);
    ASSERT_TRUE(dtype.ok()) << name;
    EXPECT_EQ(DTypeName(*dtype), name);
    EXPECT_EQ(DTypeBytes(*dtype), bytes);
  }
  for (const std::string_view bad : {"", "f32", "F8_E4M3", "F32 "}) {
    EXPECT_EQ(ParseDType(bad).status().code(), StatusCode::kInvalidArgument) << bad;
  }
}

TEST(TensorTest, CountsElementsAndBytes) {
  EXPECT_EQ((TensorSpec{"s", DType::kF32, {}}.ElementCount()), 1u);
  EXPECT_EQ((TensorSpec{"m", DType::kBf16, {3, 5}}.ByteCount()), 30u);
  EXPECT_EQ((TensorSpec{"e", DType::kF32, {3, 0}}.ByteCount()), 0u);
  EXPECT_EQ((TensorSpec{"m", DType::kF32, {3, 5}}.ShapeText()), "[3, 5]");
  EXPECT_EQ((TensorSpec{"s", DType::kF32, {}}.ShapeText()), "[]");
}

TEST(CheckManifestTest, OrderDoesNotMatter) {
  const TensorSpec a{"a", DType::kF32, {2}};
  const TensorSpec b{"b", DType::kF32, {3}};
  EXPECT_TRUE(CheckManifest({a, b}, {b, a}).ok());
  EXPECT_TRUE(CheckManifest({}, {}).ok());
}

TEST(CheckManifestTest, NamesEveryDifference) {
  const Manifest expected = {
      {"a", DType::kF32, {2, 3}}, {"b", DType::kF32, {3}}, {"c", DType::kF32, {1}}};
  const Manifest actual = {
      {"a", DType::kF32, {3, 2}}, {"b", DType::kBf16, {3}}, {"d", DType::kF32, {1}}};
  EXPECT_EQ(CheckManifest(expected, actual).message(),
            "tensor a has shape [3, 2]; must be [2, 3]; tensor b has dtype BF16; must be F32; "
            "tensor d is not part of the adapter; tensor c is missing");
}

TEST(CheckManifestTest, ATensorThatComesTwiceIsExtra) {
  const TensorSpec a{"a", DType::kF32, {2}};
  EXPECT_EQ(CheckManifest({a}, {a, a}).message(), "tensor a is not part of the adapter");
}

TEST(CheckManifestTest, ShowsFiveAndCountsTheRest) {
  Manifest actual;
  for (const char* name : {"a", "b", "c", "d", "e", "f", "g"}) {
    actual.push_back({name, DType::kF32, {}});
  }
  const std::string message = CheckManifest({}, actual).message();
  EXPECT_THAT(message, testing::EndsWith("tensor e is not part of the adapter; and 2 more"));
}

}  // namespace
}  // namespace tributary

#include "cli/middle_matrix.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/test_files.h"

namespace tributary::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(MiddleMatrixTest, BecomesPartOfB) {
  const TestDirectory directory;
  WriteFloats(directory / "adapter", {{"head.weight", {9}, {1, 1}},
                                      {"m.lora_A.weight", {1, 2}, {2, 1}},
                                      {"m.lora_B.weight", {1, 2, 3, 4, 5, 6}, {3, 2}},
                                      {"m.lora_C.weight", {1, 10, 100, 1000}, {2, 2}}});
  ASSERT_TRUE(WorkInMiddle(directory / "adapter", directory / "out").ok());
  EXPECT_THAT(ReadFloats(directory / "out", "m.lora_B.weight"),
              ElementsAre(201, 2010, 403, 4030, 605, 6050));
  EXPECT_THAT(ReadFloats(directory / "out", "m.lora_A.weight"), ElementsAre(1, 2));
  EXPECT_THAT(ReadFloats(directory / "out", "head.weight"), ElementsAre(9));
  EXPECT_FALSE(SafetensorsFile::Open(directory / "out")->Find("m.lora_C.weight") != nullptr);
}

TEST(MiddleMatrixTest, AnAdapterWithoutOneIsRefused) {
  const TestDirectory directory;
  WriteFloats(directory / "adapter",
              {{"m.lora_A.weight", {1, 2}, {2, 1}}, {"m.lora_B.weight", {1, 2}, {1, 2}}});
  EXPECT_THAT(WorkInMiddle(directory / "adapter", directory / "out").message(),
              HasSubstr("m.lora_B.weight has no square middle matrix"));
}

}  // namespace
}  // namespace tributary::cli

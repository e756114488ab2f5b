#include "cli/stacked_adapter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/test_files.h"

namespace tributary::cli {
namespace {

using testing::ElementsAre;

TEST(StackedAdapterTest, FactorsStandSideBySideAtTheAdaptersScale) {
  const TestDirectory directory;
  WriteFloats(directory / "adapter", {{"head.weight", {9}, {1, 1}},
                                      {"m.lora_A.weight", {1, 2}, {1, 2}},
                                      {"m.lora_B.weight", {3, 4}, {2, 1}},
                                      {"n.lora_A.weight", {5, 6}, {1, 2}},
                                      {"n.lora_B.weight", {7, 8}, {2, 1}}});
  // Of one module only; of scale 1, the adapter's is 4.
  WriteFloats(directory / "product", {{"m.merged_A.weight", {1, 0, 0, 1}, {2, 2}},
                                      {"m.merged_B.weight", {4, 8, 12, 16}, {2, 2}}});
  const auto rank =
      StackProducts(directory / "adapter", {directory / "product"}, 4, directory / "out");
  ASSERT_TRUE(rank.ok()) << rank.status();
  EXPECT_EQ(*rank, 3);
  EXPECT_THAT(ReadFloats(directory / "out", "m.lora_A.weight"), ElementsAre(1, 2, 1, 0, 0, 1));
  EXPECT_THAT(ReadFloats(directory / "out", "m.lora_B.weight"), ElementsAre(3, 1, 2, 4, 3, 4));
  EXPECT_THAT(ReadFloats(directory / "out", "n.lora_A.weight"), ElementsAre(5, 6, 0, 0, 0, 0));
  EXPECT_THAT(ReadFloats(directory / "out", "n.lora_B.weight"), ElementsAre(7, 0, 0, 8, 0, 0));
  EXPECT_THAT(ReadFloats(directory / "out", "head.weight"), ElementsAre(9));
}

}  // namespace
}  // namespace tributary::cli

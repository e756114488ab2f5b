#include "cli/demo_samples.h"

#include <gtest/gtest.h>

namespace tributary::cli {
namespace {

TEST(DemoSamplesTest, ShowsTheFirstLineWithText) {
  EXPECT_EQ(FirstLine("\n\n  a transparent quartz \nDefine: x\n", 80), "a transparent quartz");
  EXPECT_EQ(FirstLine("one", 80), "one");
  EXPECT_EQ(FirstLine(" \n\t\n", 80), "");
  EXPECT_EQ(FirstLine("", 80), "");
}

TEST(DemoSamplesTest, ALongLineIsCutAndWhatATerminalWouldObeyIsWrittenOut) {
  EXPECT_LE(FirstLine(std::string(500, 'x'), 80).size(), 80U);
  EXPECT_EQ(FirstLine("a\x1b[2Jb", 80), "a\\x1b[2Jb");
}

}  // namespace
}  // namespace tributary::cli

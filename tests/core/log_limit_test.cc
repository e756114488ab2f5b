#include "core/log_limit.h"

#include <gtest/gtest.h>

#include "core/files.h"

namespace tributary {
namespace {

using std::chrono::seconds;

TEST(LogLimitTest, ACauseSpeaksSoOftenInEachPeriodAndThenSaysWhatWasLeftOut) {
  LogLimit limit(2, seconds(60));
  const LogLimit::Time start{};
  EXPECT_EQ(limit.Admit("a", start), 0u);
  EXPECT_EQ(limit.Admit("a", start), 0u);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(limit.Admit("a", start + seconds(59)), std::nullopt);
  EXPECT_EQ(limit.Admit("b", start + seconds(59)), 0u) << "another cause is not held up";
  EXPECT_EQ(limit.Admit("a", start + seconds(60)), 5u);
  EXPECT_EQ(limit.Admit("a", start + seconds(60)), 0u);
}

TEST(LogLimitTest, CausesThatAPeerInventsShareOneInTheEnd) {
  LogLimit limit(1, seconds(60));
  const LogLimit::Time start{};
  int written = 0;
  for (int i = 0; i < 100'000; ++i) {
    if (limit.Admit("cause " + std::to_string(i), start)) ++written;
  }
  EXPECT_LT(written, 5000);
  EXPECT_EQ(limit.Admit("one more", start + seconds(61)), 0u) << "the quiet ones made room";
}

TEST(LogLimitTest, WritesLinesAndTheNumberOfThoseLeftOut) {
  const auto directory = *TemporaryDirectory::Create("log");
  LogOptions options;
  options.file = JoinPath(directory.path(), "test.log");
  ASSERT_TRUE(StartLogging(options).ok());
  LogLimit limit(1, seconds(0));  // a period of no time: none is left out
  limit.Log("c", LogLevel::kWarning, "rpc", "refused", {{"n", 1}});
  LogLimit once(1, seconds(3600));
  for (int i = 0; i < 1000; ++i) once.Log("c", LogLevel::kWarning, "rpc", "once", {{"n", i}});
  ASSERT_TRUE(StartLogging({}).ok());
  const std::string text = *ReadFile(options.file);
  EXPECT_NE(text.find("rpc: refused n=1\n"), std::string::npos);
  EXPECT_NE(text.find("rpc: once n=0\n"), std::string::npos);
  EXPECT_EQ(text.find("rpc: once n=1"), std::string::npos);
}

}  // namespace
}  // namespace tributary

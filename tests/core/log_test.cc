#include "core/log.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "core/files.h"

namespace tributary {
namespace {

class LogTest : public testing::Test {
 protected:
  void TearDown() override { ASSERT_TRUE(StartLogging({}).ok()); }

  void Start(const std::string& format, const std::string& level = "info") {
    LogOptions options;
    options.file = path_;
    options.format = format;
    options.level = level;
    ASSERT_TRUE(StartLogging(options).ok());
  }
  std::string Written() const { return *ReadFile(path_); }
  // Without the time, which is 27 characters.
  std::string WrittenAfterTime() const { return Written().substr(27); }

  TemporaryDirectory directory_ = *TemporaryDirectory::Create("log");
  std::string path_ = JoinPath(directory_.path(), "test.log");
};

TEST_F(LogTest, TextLineHasLevelComponentMessageAndFields) {
  Start("text");
  LogInfo("server", "round closed",
          {{"campaign", "chem lora"}, {"round", 3}, {"late", false}, {"loss", 0.5}, {"bytes", 7u}});
  EXPECT_EQ(
      WrittenAfterTime(),
      " info    server: round closed campaign=\"chem lora\" round=3 late=false loss=0.5 bytes=7\n");
  EXPECT_EQ(Written()[10], 'T');
  EXPECT_EQ(Written()[26], 'Z');
}

TEST_F(LogTest, JsonLineKeepsTypes) {
  Start("json");
  LogWarning("client", "refused",
             {{"error", NotFoundError("no such file")},
              {"n", std::int64_t{-2}},
              {"level", "fake"},
              {"x", std::numeric_limits<double>::infinity()}});
  const nlohmann::json line = nlohmann::json::parse(Written());
  EXPECT_EQ(line.at("level"), "warning");
  EXPECT_EQ(line.at("component"), "client");
  EXPECT_EQ(line.at("message"), "refused");
  EXPECT_EQ(line.at("error"), "not found: no such file");
  EXPECT_EQ(line.at("n"), -2);
  EXPECT_EQ(line.at("level_"), "fake");
  EXPECT_EQ(line.at("x"), "inf");
}

TEST_F(LogTest, HostileValuesStayInOneLine) {
  const std::string hostile = "a\n2026-01-01 fake=1 \"q\" \x1b[2J\xff";
  Start("text");
  LogInfo("c", hostile, {{"v", hostile}});
  EXPECT_EQ(WrittenAfterTime(),
            " info    c: a\\n2026-01-01 fake=1 \"q\" \\x1b[2J\\xff "
            "v=\"a\\n2026-01-01 fake=1 \\\"q\\\" \\x1b[2J\\xff\"\n");
  path_ += ".json";
  Start("json");
  LogInfo("c", hostile, {{"v", hostile}});
  EXPECT_EQ(Written().find('\n'), Written().size() - 1);
  EXPECT_EQ(nlohmann::json::parse(Written()).at("v"),
            "a\n2026-01-01 fake=1 \"q\" \x1b[2J\xEF\xBF\xBD");
}

TEST_F(LogTest, ALineIsBoundedAndShowsATerminalNothingThatTurnsText) {
  const std::string turned = "a\u202eb\u009b";
  Start("text");
  LogInfo("c", std::string(1 << 20, 'm'), {{"v", std::string(1 << 20, '\x1b')}});
  LogInfo("c", "m", {{"v", turned}});
  EXPECT_LT(Written().size(), 16'000u);
  EXPECT_NE(Written().find(" v=a\\xe2\\x80\\xaeb\\xc2\\x9b\n"), std::string::npos);
  path_ += ".json";
  Start("json");
  LogInfo("c", std::string(1 << 20, 'm'), {{"v", std::string(1 << 20, '\x1b')}});
  EXPECT_LT(Written().size(), 64'000u);
  path_ += ".json";
  Start("json");
  LogInfo("c", "m", {{"v", turned}});
  EXPECT_NE(Written().find("a\\u202eb\\u009b"), std::string::npos) << Written();
  EXPECT_EQ(nlohmann::json::parse(Written()).at("v"), turned);
}

TEST_F(LogTest, LevelsBelowTheChosenOneAreNotWritten) {
  Start("text", "warning");
  EXPECT_FALSE(LogEnabled(LogLevel::kInfo));
  EXPECT_TRUE(LogEnabled(LogLevel::kError));
  LogDebug("c", "one");
  LogInfo("c", "two");
  LogError("c", "three");
  EXPECT_EQ(WrittenAfterTime(), " error   c: three\n");
  Start("text", "off");
  LogError("c", "four");
  EXPECT_EQ(Written().find("four"), std::string::npos);
}

TEST_F(LogTest, RotatesBySize) {
  LogOptions options;
  options.file = path_;
  options.max_file_size = {4096};
  options.max_files = 2;
  ASSERT_TRUE(StartLogging(options).ok());
  for (int i = 0; i < 200; ++i) LogInfo("c", std::string(100, 'x'));
  EXPECT_EQ(ListDirectory(directory_.path())->size(), 3u);
  EXPECT_LE(*FileSize(path_), 4096u);
}

TEST_F(LogTest, LinesOfManyThreadsDoNotMix) {
  Start("json");
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      for (int i = 0; i < 100; ++i) LogInfo("thread", std::string(200, 'x'), {{"t", t}, {"i", i}});
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::string text = Written();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 400);
  std::size_t start = 0;
  for (std::size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n', start)) {
    EXPECT_TRUE(nlohmann::json::accept(text.substr(start, end - start)));
    start = end + 1;
  }
}

TEST_F(LogTest, WrongOptionsAreErrorsAndChangeNothing) {
  Start("text");
  LogOptions options;
  options.level = "loud";
  EXPECT_EQ(StartLogging(options).message(),
            "log.level: \"loud\" is not known; must be one of debug, info, warning, error, off");
  options = {};
  options.format = "xml";
  EXPECT_EQ(StartLogging(options).message(),
            "log.format: \"xml\" is not known; must be one of text, json");
  options = {};
  options.file = "/proc/no/such/file";
  EXPECT_EQ(StartLogging(options).message().substr(0, 10), "log.file: ");
  LogInfo("c", "still here");
  EXPECT_NE(Written().find("still here"), std::string::npos);
}

TEST_F(LogTest, OptionsLoadFromYaml) {
  LogOptions options;
  ASSERT_TRUE(
      LoadYaml("level: debug\nformat: json\nmax_file_size: 1MiB\n", "l.yaml", &options).ok());
  EXPECT_EQ(options.level, "debug");
  EXPECT_EQ(options.max_file_size.bytes, 1u << 20);
}

}  // namespace
}  // namespace tributary

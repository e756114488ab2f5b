#include "trainer/examples.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/files.h"

namespace tributary::trainer {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class ReadExamplesTest : public testing::Test {
 protected:
  Result<ExampleFile> Read(const std::string& text, std::int64_t max_bad_lines = 0) {
    EXPECT_TRUE(WriteFileAtomic(path_, text).ok());
    return ReadExamples(path_, max_bad_lines);
  }
  TemporaryDirectory directory_ = std::move(TemporaryDirectory::Create("examples-test")).value();
  std::string path_ = JoinPath(directory_.path(), "data.jsonl");
};

TEST_F(ReadExamplesTest, ReadsEveryKindAndSkipsEmptyLines) {
  const auto file = Read(
      "{\"text\": \"one\", \"source\": 3}\n\n"
      "{\"completion\": \"c\", \"prompt\": \"p\"}\r\n"
      "{\"instruction\": \"i\", \"input\": \"\", \"output\": \"o\", \"text\": \"all of it\"}\n"
      "{\"messages\": [{\"role\": \"user\", \"content\": \"u\"},"
      " {\"role\": \"assistant\", \"content\": \"a\", \"weight\": 1}]}");
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_EQ(file->examples.size(), 4U);
  EXPECT_EQ(file->examples[0].text, "one");
  EXPECT_EQ(file->examples[1].prompt, "p");
  EXPECT_EQ(file->examples[1].completion, "c");
  EXPECT_EQ(file->examples[2].kind, ExampleKind::kInstruction);
  EXPECT_EQ(file->examples[2].completion, "o");
  EXPECT_EQ(file->examples[3].messages[1].content, "a");
  EXPECT_EQ(file->bad.count, 0);
}

TEST_F(ReadExamplesTest, NamesFileAndLineOfWhatIsWrong) {
  for (const char* line :
       {"{\"text\": 3}", "[]", "{\"prompt\": \"a\"}", "{\"instruction\": \"a\"}", "{", "\"\xff\"",
        "{\"messages\": []}", "{\"messages\": [{\"role\": \"user\", \"content\": \"u\"}]}",
        "{\"messages\": [{\"role\": \"assistant\", \"content\": \"a\"}]}",
        "{\"messages\": [{\"role\": \"user\", \"content\": [\"parts\"]}]}"}) {
    const auto file = Read(std::string("{\"text\": \"fine\"}\n") + line + "\n");
    ASSERT_FALSE(file.ok()) << line;
    EXPECT_THAT(file.status().message(), HasSubstr("data.jsonl:2: ")) << line;
    EXPECT_THAT(file.status().message(), HasSubstr("1 bad line; 0 allowed")) << line;
  }
}

TEST_F(ReadExamplesTest, WhatNobodyReadsMayBeAnythingThatPythonWrites) {
  const std::string deep = std::string(5000, '[') + std::string(5000, ']');
  for (const std::string& more :
       {std::string("\"score\": NaN"), std::string("\"s\": [-Infinity, 1]"),
        std::string("\"id\": 1, \"id\": {\"a\": 1, \"a\": 2}"),
        std::string("\"s\": \"\\ud800 \\\" }\""), "\"m\": " + deep}) {
    EXPECT_EQ(Read("{\"text\": \"ok\", " + more + "}").status(), OkStatus()) << more;
    EXPECT_EQ(Read("{" + more + ", \"text\": \"ok\"}").status(), OkStatus()) << more;
    EXPECT_EQ(Read("{\"messages\": [{\"role\": \"user\", \"content\": \"u\"}, {" + more +
                   ", \"role\": \"assistant\", \"content\": \"a\"}]}")
                  .status(),
              OkStatus())
        << more;
  }
  for (const char* line :
       {"{\"text\": NaN}", "{\"text\": \"a\", \"text\": \"b\"}", "{\"text\": \"\\ud800\"}",
        "{\"text\": \"a\", \"x\": maybe}", "{\"text\": \"a\", \"x\": [1}", "{\"text\": \"a\"} {}",
        "{\"text\": \"a\" \"x\": 1}", "{\"text\": \"a\", \"x\": \"",
        "{\"text\": \"a\", \"x\": \"\\"}) {
    EXPECT_THAT(Read(line).status().message(), HasSubstr("1 bad line")) << line;
  }
}

TEST_F(ReadExamplesTest, AMessagesWeightIsNotIgnored) {
  const std::string begin =
      "{\"messages\": [{\"role\": \"user\", \"content\": \"u\"},"
      " {\"role\": \"assistant\", \"content\": \"a\", \"weight\": ";
  EXPECT_TRUE(Read(begin + "1}]}").ok());
  EXPECT_THAT(Read(begin + "0}]}").status().message(),
              HasSubstr("messages[1]: weight: 0 is not supported"));
}

TEST_F(ReadExamplesTest, SaysWhatAFileIsThatIsNotJsonLines) {
  using namespace std::string_literals;
  const std::pair<std::string, const char*> kinds[] = {
      {"[\n  {\"text\": \"a\"}\n]", "is one JSON array"},
      {" [{\"text\": \"a\"}]", "is one JSON array"},
      {"{\n  \"text\": \"a\"\n}\n", "is JSON over several lines"},
      {"\x1f\x8b\x08 and so on", "is gzip"},
      {"\xff\xfe{\0"s, "is UTF-16"},
      {"{\0\"\0"s, "is UTF-16"},
      {"\0{\0\""s, "is UTF-16"},
      {"PAR1\x15", "is Parquet"},
      {"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n",
       "is a Git LFS pointer"},
      {"<!DOCTYPE html>", "is a web page"}};
  for (const auto& [text, kind] : kinds) {
    const auto file = Read(text, 100);
    ASSERT_FALSE(file.ok()) << kind;
    EXPECT_THAT(file.status().message(), HasSubstr("data.jsonl: "s + kind));
  }
  EXPECT_THAT(Read("{\"text\": \"a\"}\n\0\0\0"s).status().message(),
              HasSubstr(":2: has NUL bytes"));
}

TEST_F(ReadExamplesTest, ListsTenBadLinesAndCountsAll) {
  std::string text;
  for (int i = 0; i < 12; ++i) text += "{}\n";
  const auto file = Read(text, 11);
  ASSERT_FALSE(file.ok());
  EXPECT_THAT(file.status().message(), HasSubstr("12 bad lines; 11 allowed"));
  EXPECT_THAT(file.status().message(), HasSubstr("data.jsonl:10: "));
  EXPECT_THAT(file.status().message(), Not(HasSubstr("data.jsonl:11: ")));
}

TEST_F(ReadExamplesTest, LeavesOutAsManyBadLinesAsItMay) {
  const auto file = Read("{}\n{\"text\": \"a\"}\nnonsense\n", 2);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->examples.size(), 1U);
  EXPECT_EQ(file->bad.count, 2);
  EXPECT_THAT(file->bad.first.at(1), StartsWith("3: "));
}

TEST(CheckTurnsTest, WantsUserAndAssistantInTurn) {
  EXPECT_TRUE(CheckTurns({{"system", ""}, {"user", ""}, {"assistant", ""}}).ok());
  EXPECT_THAT(CheckTurns({{"user", ""}, {"user", ""}}).message(),
              HasSubstr("messages[1]: role is \"user\"; must be assistant"));
  EXPECT_FALSE(CheckTurns({{"user", ""}, {"tool", ""}}).ok());
  EXPECT_FALSE(CheckTurns({{"system", ""}}).ok());
  EXPECT_FALSE(CheckTurns({}).ok());
}

}  // namespace
}  // namespace tributary::trainer

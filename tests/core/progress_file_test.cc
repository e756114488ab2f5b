#include "core/progress_file.h"

#include <gtest/gtest.h>

#include "core/files.h"
#include "tests/core/test_files.h"

namespace tributary {
namespace {

TEST(LastProgressTest, IsTheLastWholeLine) {
  const TestDirectory directory;
  // The step of the progress after the file was replaced with this text; -1 for none.
  const auto step_of = [&](const std::string& text) {
    EXPECT_TRUE(WriteFileAtomic(directory / "progress.jsonl", text).ok());
    const auto progress = LastProgress(directory.path());
    return progress ? progress->step : -1;
  };
  EXPECT_FALSE(LastProgress(directory.path()));
  const std::string one = ProgressLine{1, 5, 2.5, 10, 0.5}.ToJson();
  const std::string two = ProgressLine{2, 5, 2.25, 20, 1}.ToJson();
  ASSERT_TRUE(one.ends_with('\n'));
  EXPECT_EQ(step_of(one.substr(0, one.size() - 1)), -1);
  EXPECT_EQ(step_of(one), 1);
  EXPECT_EQ(step_of(one + two.substr(0, 10)), 1);
  EXPECT_EQ(step_of(one + two), 2);
  EXPECT_EQ(step_of(one + "nonsense\n"), -1);
  EXPECT_EQ(step_of("\n"), -1);
  std::string many;
  while (many.size() < 20000) many += one;
  EXPECT_EQ(step_of(many + two + one.substr(0, 5)), 2);
}

TEST(ProgressFileTest, ANoteIsReadWithItsLine) {
  const auto directory = TemporaryDirectory::Create("progress");
  ASSERT_TRUE(directory.ok());
  const std::string path = JoinPath(directory->path(), kProgressFile);
  EXPECT_EQ(LastProgressNote(directory->path()), "");
  const std::string note = R"({"step": 0, "steps": 5, "loss": 0, "note": "reading"})"
                           "\n";
  ASSERT_TRUE(WriteFileAtomic(path, note).ok());
  EXPECT_EQ(LastProgressNote(directory->path()), "reading");
  EXPECT_EQ(LastProgress(directory->path())->steps, 5);
  ASSERT_TRUE(WriteFileAtomic(path, note + ProgressLine{1, 5, 2.5, 10, 0.5}.ToJson()).ok());
  EXPECT_EQ(LastProgressNote(directory->path()), "");
  ASSERT_TRUE(WriteFileAtomic(path, "{\"note\": 3}\n").ok());
  EXPECT_EQ(LastProgressNote(directory->path()), "");
}

}  // namespace
}  // namespace tributary

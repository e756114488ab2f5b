#include "server/journal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/test_files.h"

namespace tributary::server {
namespace {

using testing::ElementsAre;

class JournalTest : public testing::Test {
 protected:
  Journal Open() { return std::move(Journal::Open(directory_ / "journal.db")).value(); }
  static JournalEntry Entry(std::int64_t micros, const std::string& text) {
    return {0, TimestampFromMicros(micros), text};
  }
  static std::vector<std::string> Read(Journal& journal) {
    std::vector<std::string> lines;
    EXPECT_TRUE(journal
                    .Read([&](const JournalEntry& entry) {
                      lines.push_back(std::to_string(entry.sequence) + " " +
                                      std::to_string(ToMicros(entry.at)) + " " + entry.event_json);
                      return OkStatus();
                    })
                    .ok());
    return lines;
  }

  const TestDirectory directory_;
};

TEST_F(JournalTest, KeepsOrderTimesAndTextsAcrossAReopen) {
  {
    Journal journal = Open();
    ASSERT_TRUE(journal.Append({Entry(5, "{\"a\":\"\xC3\xA9\"}"), Entry(-1, "two")}).ok());
    ASSERT_TRUE(journal.Append({}).ok());
  }
  Journal journal = Open();
  ASSERT_TRUE(journal.Append({Entry(7, "three")}).ok());
  EXPECT_THAT(Read(journal), ElementsAre("1 5 {\"a\":\"\xC3\xA9\"}", "2 -1 two", "3 7 three"));
}

TEST_F(JournalTest, RefusesASecondServer) {
  const Journal journal = Open();
  EXPECT_EQ(Journal::Open(directory_ / "journal.db").status().code(),
            StatusCode::kFailedPrecondition);
}

TEST_F(JournalTest, ReadingStopsAtTheFirstError) {
  Journal journal = Open();
  ASSERT_TRUE(journal.Append({Entry(1, "a"), Entry(2, "b"), Entry(3, "c")}).ok());
  int visited = 0;
  const Status status = journal.Read(
      [&](const JournalEntry&) { return ++visited == 2 ? DataLossError("bad") : OkStatus(); });
  EXPECT_EQ(status, DataLossError("bad"));
  EXPECT_EQ(visited, 2);
  EXPECT_EQ(Read(journal).size(), 3u);
}

TEST_F(JournalTest, AFileThatIsNoDatabaseIsDataLoss) {
  ASSERT_TRUE(WriteFileAtomic(directory_ / "journal.db", std::string(8192, 'x')).ok());
  EXPECT_EQ(Journal::Open(directory_ / "journal.db").status().code(), StatusCode::kDataLoss);
}

// What a power cut, a restored file or a deleted "-wal" leaves: fewer entries than there were.
TEST_F(JournalTest, ADatabaseThatLostEntriesIsDataLossAndSaysWhatToDo) {
  const std::string path = directory_ / "journal.db";
  {
    Journal journal = Open();
    ASSERT_TRUE(journal.Append({Entry(1, "a")}).ok());
  }
  const std::string before = *ReadFile(path);
  {
    Journal journal = Open();
    ASSERT_TRUE(journal.Append({Entry(2, "b"), Entry(3, "c")}).ok());
  }
  ASSERT_TRUE(WriteFileAtomic(path, before).ok());
  const Status status = Journal::Open(path).status();
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_THAT(status.message(), testing::HasSubstr("has 1 entries and had 3"));
  EXPECT_THAT(status.message(), testing::HasSubstr("journal.db-wal"));
  ASSERT_TRUE(RemoveFile(path).ok());
  EXPECT_EQ(Journal::Open(path).status().code(), StatusCode::kDataLoss) << "gone altogether";
  ASSERT_TRUE(RemoveFile(path + ".mark").ok());  // a person decides so
  EXPECT_TRUE(Journal::Open(path).ok());
}

TEST_F(JournalTest, AJournalWithoutAMarkOrWithHalfOfOneIsOpened) {
  {
    Journal journal = Open();  // of an earlier version: no mark
    ASSERT_TRUE(journal.Append({Entry(1, "a")}).ok());
  }
  for (const std::string& mark : {std::string("garbage"), std::string(), std::string(100, '9')}) {
    ASSERT_TRUE(WriteFileAtomic(directory_ / "journal.db.mark", mark).ok());
    Journal journal = Open();
    EXPECT_EQ(Read(journal).size(), 1u);
  }
  EXPECT_EQ(*ReadFile(directory_ / "journal.db.mark"), "00000000000000000001\n");
}

}  // namespace
}  // namespace tributary::server

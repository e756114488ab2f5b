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

TEST_F(JournalTest, TheNewestTwoSnapshotsAreKept) {
  Journal journal = Open();
  EXPECT_TRUE(journal.ReadSnapshots()->empty());
  for (const char* text : {"one", "two", "three"}) {
    ASSERT_TRUE(journal.Append({Entry(1, text)}).ok());
    ASSERT_TRUE(journal.WriteSnapshot(std::string("state ") + text).ok());
  }
  const auto snapshots = journal.ReadSnapshots();
  ASSERT_TRUE(snapshots.ok()) << snapshots.status();
  ASSERT_EQ(snapshots->size(), 2U);
  EXPECT_EQ((*snapshots)[0].sequence, 3);
  EXPECT_EQ((*snapshots)[0].state, "state three");
  EXPECT_EQ((*snapshots)[1].state, "state two");
}

TEST_F(JournalTest, ASnapshotOfAnotherPastIsNotUsed) {
  {
    Journal journal = Open();
    ASSERT_TRUE(journal.Append({Entry(1, "one"), Entry(2, "two")}).ok());
    ASSERT_TRUE(journal.WriteSnapshot("state").ok());
  }
  {
    auto database = Database::Open(directory_ / "journal.db");
    ASSERT_TRUE(database.ok());
    ASSERT_TRUE(database->Execute("UPDATE journal SET event = 'other' WHERE sequence = 2").ok());
  }
  EXPECT_TRUE(Open().ReadSnapshots()->empty());
}

TEST_F(JournalTest, ALaterProgramsFileIsRefused) {
  { const Journal journal = Open(); }
  {
    auto database = Database::Open(directory_ / "journal.db");
    ASSERT_TRUE(database.ok() && database->Execute("PRAGMA user_version=9").ok());
  }
  const Status status = Journal::Open(directory_ / "journal.db").status();
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(status.message(),
              testing::HasSubstr("is of version 9; this program knows those up to 2"));
}

}  // namespace
}  // namespace tributary::server

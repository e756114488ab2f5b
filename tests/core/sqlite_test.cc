#include "core/sqlite.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/test_files.h"

namespace tributary {
namespace {

using testing::HasSubstr;

class SqliteTest : public testing::Test {
 protected:
  Database Open() {
    auto database = Database::Open(directory_ / "db");
    EXPECT_TRUE(database.ok()) << database.status();
    return *std::move(database);
  }
  static std::int64_t Count(Database& database) {
    auto count = database.Prepare("SELECT COUNT(*) FROM t");
    EXPECT_TRUE(count.ok() && *count->Step());
    return count->Int(0);
  }

  const TestDirectory directory_;
};

constexpr const char* kSchema = "CREATE TABLE t (i INTEGER PRIMARY KEY, s TEXT NOT NULL, b BLOB)";

TEST_F(SqliteTest, KeepsNumbersTextsAndBytesAcrossAReopen) {
  const std::string bytes("\0a\0\xFF", 4);
  {
    Database database = Open();
    ASSERT_TRUE(database.Execute(kSchema).ok());
    auto insert = database.Prepare("INSERT INTO t (i, s, b) VALUES (?, ?, ?)");
    ASSERT_TRUE(insert.ok()) << insert.status();
    insert->Bind(1, INT64_MIN).Bind(2, bytes).BindBytes(3, bytes);
    ASSERT_TRUE(insert->Run().ok());
    insert->Bind(1, std::int64_t{7}).Bind(2, std::string_view()).BindBytes(3, std::string_view());
    ASSERT_TRUE(insert->Run().ok());
    EXPECT_EQ(database.LastInsertId(), 7);
  }
  Database database = Open();
  auto select = database.Prepare("SELECT i, s, b FROM t ORDER BY i");
  ASSERT_TRUE(*select->Step());
  EXPECT_EQ(select->Int(0), INT64_MIN);
  EXPECT_EQ(select->Text(1), bytes);
  EXPECT_EQ(select->Text(2), bytes);
  ASSERT_TRUE(*select->Step());
  EXPECT_EQ(select->Text(1), "");
  EXPECT_EQ(select->Text(2), "");
  EXPECT_FALSE(*select->Step());
}

TEST_F(SqliteTest, RefusesASecondOpener) {
  const Database database = Open();
  const auto second = Database::Open(directory_ / "db");
  EXPECT_EQ(second.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(second.status().message(), HasSubstr("another process has it open"));
}

TEST_F(SqliteTest, RollsBack) {
  Database database = Open();
  ASSERT_TRUE(database.Execute(kSchema).ok());
  ASSERT_TRUE(database.Execute("BEGIN; INSERT INTO t VALUES (1, 'x', NULL); ROLLBACK").ok());
  EXPECT_EQ(Count(database), 0);
  ASSERT_TRUE(database.Execute("BEGIN; INSERT INTO t VALUES (1, 'x', NULL); COMMIT").ok());
  EXPECT_EQ(Count(database), 1);
}

TEST_F(SqliteTest, AStatementServesAgainAfterAnError) {
  Database database = Open();
  ASSERT_TRUE(database.Execute(kSchema).ok());
  auto insert = database.Prepare("INSERT INTO t (i, s) VALUES (?, ?)");
  insert->Bind(1, std::int64_t{1}).Bind(2, "x");
  ASSERT_TRUE(insert->Run().ok());
  insert->Bind(1, std::int64_t{1}).Bind(2, "x");
  EXPECT_FALSE(insert->Run().ok());
  insert->Bind(1, std::int64_t{2}).Bind(2, "x");
  EXPECT_TRUE(insert->Run().ok());
}

TEST_F(SqliteTest, ErrorsAreValues) {
  Database database = Open();
  EXPECT_THAT(database.Execute("NONSENSE").message(), HasSubstr(directory_ / "db"));
  EXPECT_FALSE(database.Prepare("SELECT * FROM absent").ok());
  EXPECT_EQ(Database::Open(directory_ / "no/db").status().code(), StatusCode::kPermissionDenied);
  ASSERT_TRUE(WriteFileAtomic(directory_ / "other", std::string(4096, 'x')).ok());
  EXPECT_EQ(Database::Open(directory_ / "other").status().code(), StatusCode::kDataLoss);
}

TEST_F(SqliteTest, WritesAheadAndSynchronously) {
  Database database = Open();
  auto mode = database.Prepare("PRAGMA journal_mode");
  ASSERT_TRUE(*mode->Step());
  EXPECT_EQ(mode->Text(0), "wal");
  auto synchronous = database.Prepare("PRAGMA synchronous");
  ASSERT_TRUE(*synchronous->Step());
  EXPECT_EQ(synchronous->Int(0), 2);  // FULL
}

TEST_F(SqliteTest, ASchemaIsBroughtForwardStepByStep) {
  constexpr std::array<const char*, 1> kFirst = {"CREATE TABLE IF NOT EXISTS t (i INTEGER)"};
  constexpr std::array<const char*, 2> kSecond = {kFirst[0],
                                                  "ALTER TABLE t ADD COLUMN s TEXT DEFAULT 'x'"};
  constexpr std::array<const char*, 3> kWrong = {kSecond[0], kSecond[1],
                                                 "CREATE TABLE u (i INTEGER);NONSENSE"};
  Database database = std::move(Database::Open(directory_ / "steps.db")).value();
  ASSERT_TRUE(database.Migrate(kFirst).ok());
  ASSERT_TRUE(database.Execute("INSERT INTO t (i) VALUES (1)").ok());
  ASSERT_TRUE(database.Migrate(kSecond).ok());
  ASSERT_TRUE(database.Migrate(kSecond).ok());
  ASSERT_FALSE(database.Migrate(kWrong).ok());
  EXPECT_FALSE(database.Prepare("SELECT * FROM u").ok());  // a step is taken whole or not
  auto select = database.Prepare("SELECT s FROM t");
  ASSERT_TRUE(select.ok() && *select->Step());
  EXPECT_EQ(select->Text(0), "x");
  select->Reset();
  const Status status = database.Migrate(kFirst);
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(status.message().find("is of version 2; this program knows those up to 1"),
            std::string::npos)
      << status;
}

TEST(NetworkFilesystemTest, ALocalDirectoryHasNone) {
  EXPECT_EQ(NetworkFilesystemOf("/proc"), "");
  EXPECT_EQ(NetworkFilesystemOf("/no/such/path"), "");
}

}  // namespace
}  // namespace tributary

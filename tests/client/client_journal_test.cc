#include "client/client_journal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/test_files.h"

namespace tributary::client {
namespace {

TaskRecord Record(const std::string& task) {
  TaskRecord record;
  record.assignment.set_task(task);
  record.assignment.set_campaign("c");
  record.assignment.set_seed(UINT64_MAX);
  return record;
}

class ClientJournalTest : public testing::Test {
 protected:
  void SetUp() override { Open(); }
  void Open() {
    journal_.reset();
    auto journal = ClientJournal::Open(directory_ / "client.db");
    ASSERT_TRUE(journal.ok()) << journal.status();
    journal_ = *std::move(journal);
  }
  std::vector<std::string> Tasks() {
    std::vector<std::string> names;
    const auto records = journal_->LoadTasks();
    EXPECT_TRUE(records.ok()) << records.status();
    for (const TaskRecord& record : *records) names.push_back(record.assignment.task());
    return names;
  }

  const TestDirectory directory_;
  std::unique_ptr<ClientJournal> journal_;
};

TEST_F(ClientJournalTest, ATaskSurvivesAtEveryPhase) {
  TaskRecord record = Record("c.r1.a.t1");
  for (const Phase phase :
       {Phase::kReceived, Phase::kSubmitting, Phase::kSubmitted, Phase::kReady}) {
    record.phase = phase;
    if (phase == Phase::kSubmitted) {
      record.job = "4711.pbs";
      record.submitted_at = TimestampFromMicros(1'700'000'000'000'001);
      record.download_seconds = 1.25;
    }
    if (phase == Phase::kReady) {
      record.report.set_task("c.r1.a.t1");
      record.report.set_statement(std::string("\0\xFF", 2));
      record.report.set_signature("sig");
    }
    ASSERT_TRUE(journal_->SaveTask(record).ok());
    Open();
    const auto records = journal_->LoadTasks();
    ASSERT_TRUE(records.ok());
    ASSERT_EQ(records->size(), 1u);
    const TaskRecord& read = records->front();
    EXPECT_EQ(read.phase, phase);
    EXPECT_EQ(read.assignment.SerializeAsString(), record.assignment.SerializeAsString());
    EXPECT_EQ(read.job, record.job);
    EXPECT_EQ(read.submitted_at, record.submitted_at);
    EXPECT_EQ(read.download_seconds, record.download_seconds);
    EXPECT_EQ(read.report.SerializeAsString(), record.report.SerializeAsString());
  }
}

TEST_F(ClientJournalTest, TasksComeOldestFirstHoweverOftenSaved) {
  for (const char* task : {"z", "a", "m"}) ASSERT_TRUE(journal_->SaveTask(Record(task)).ok());
  TaskRecord again = Record("z");
  again.phase = Phase::kSubmitted;
  ASSERT_TRUE(journal_->SaveTask(again).ok());
  EXPECT_THAT(Tasks(), testing::ElementsAre("z", "a", "m"));
  ASSERT_TRUE(journal_->RemoveTask("a").ok());
  ASSERT_TRUE(journal_->RemoveTask("a").ok());
  Open();
  EXPECT_THAT(Tasks(), testing::ElementsAre("z", "m"));
}

TEST_F(ClientJournalTest, OffersAreReplacedAndRemoved) {
  v1::CampaignOffer offer;
  offer.set_campaign("c");
  offer.set_lead("lena");
  ASSERT_TRUE(journal_->SaveOffer(offer).ok());
  offer.set_lead("marc");
  ASSERT_TRUE(journal_->SaveOffer(offer).ok());
  Open();
  auto offers = journal_->LoadOffers();
  ASSERT_TRUE(offers.ok());
  ASSERT_EQ(offers->size(), 1u);
  EXPECT_EQ(offers->at("c").lead(), "marc");
  ASSERT_TRUE(journal_->RemoveOffer("c").ok());
  EXPECT_TRUE(journal_->LoadOffers()->empty());
}

TEST_F(ClientJournalTest, RefusesASecondDaemon) {
  EXPECT_EQ(ClientJournal::Open(directory_ / "client.db").status().code(),
            StatusCode::kFailedPrecondition);
}

TEST_F(ClientJournalTest, ADamagedRecordIsDataLoss) {
  journal_.reset();
  {
    auto database = Database::Open(directory_ / "client.db");
    ASSERT_TRUE(database
                    ->Execute("INSERT INTO offers VALUES ('c', X'FF');"
                              "INSERT INTO tasks (ordinal, task, phase, job, submitted_us, "
                              "download_us, assignment, "
                              "report, attempt, job_name, queue_us, node_us) VALUES (1, 't', 0, "
                              "'', 0, 0, X'FF', X'', 1, '', 0, 0)")
                    .ok());
  }
  Open();
  EXPECT_EQ(journal_->LoadOffers().status().code(), StatusCode::kDataLoss);
  EXPECT_EQ(journal_->LoadTasks().status().code(), StatusCode::kDataLoss);
}

TEST_F(ClientJournalTest, AFileOfAnEarlierVersionIsReadAndGoesOn) {
  const std::string path = directory_ / "old.db";
  {
    auto old = Database::Open(path);
    ASSERT_TRUE(old.ok()) << old.status();
    TaskRecord task = Record("c.r1.a.t1");
    ASSERT_TRUE(
        old->Execute("CREATE TABLE tasks (ordinal INTEGER PRIMARY KEY, task TEXT UNIQUE NOT NULL, "
                     "phase INTEGER NOT NULL, job TEXT NOT NULL, submitted_us INTEGER NOT "
                     "NULL, download_us INTEGER NOT NULL, assignment BLOB NOT NULL, report "
                     "BLOB NOT NULL, attempt INTEGER NOT NULL, job_name TEXT NOT NULL, "
                     "queue_us INTEGER NOT NULL, node_us INTEGER NOT NULL)")
            .ok());
    auto insert =
        old->Prepare("INSERT INTO tasks VALUES (1, ?, 2, '17', 5, 0, ?, '', 2, 'n', 0, 0)");
    ASSERT_TRUE(insert.ok()) << insert.status();
    insert->Bind(1, task.assignment.task()).BindBytes(2, task.assignment.SerializeAsString());
    ASSERT_TRUE(insert->Run().ok());
  }
  for (int opened = 0; opened < 2; ++opened) {
    auto journal = ClientJournal::Open(path);
    ASSERT_TRUE(journal.ok()) << journal.status();
    auto records = (*journal)->LoadTasks();
    ASSERT_TRUE(records.ok()) << records.status();
    ASSERT_EQ(records->size(), 1u);
    TaskRecord& record = records->front();
    EXPECT_EQ(record.job, "17");
    EXPECT_EQ(record.attempt, 2);
    EXPECT_EQ(record.assignment.seed(), UINT64_MAX);
    EXPECT_EQ(record.quiet.has_value(), opened == 1);
    if (opened == 1) {
      EXPECT_EQ(ToMicros(record.quiet->since), 70);
      EXPECT_EQ(record.quiet->progress_bytes, 90u);
      EXPECT_EQ(ToMicros(record.lost_since.value()), 80);
    }
    record.quiet = Quiet{TimestampFromMicros(70), 90};
    record.lost_since = TimestampFromMicros(80);
    ASSERT_TRUE((*journal)->SaveTask(record).ok());
  }
}

TEST_F(ClientJournalTest, TheRhythmOfVisitsIsTheirLongestGap) {
  const auto at = [&](int minutes) {
    const auto rhythm = journal_->NoteVisit(Timestamp(std::chrono::minutes(minutes)));
    EXPECT_TRUE(rhythm.ok()) << rhythm.status();
    return std::chrono::duration_cast<std::chrono::minutes>(*rhythm).count();
  };
  EXPECT_EQ(at(0), 60) << "there is no gap yet";
  EXPECT_EQ(at(15), 15);
  EXPECT_EQ(at(45), 30);
  Open();
  for (int visit = 4; visit < 10; ++visit) EXPECT_EQ(at(visit * 15), 30) << visit;
  EXPECT_EQ(at(150), 15) << "the long gap is eight visits ago";
  EXPECT_EQ(at(100), 15) << "a clock that was set back is no gap";
}

TEST_F(ClientJournalTest, AnInstanceIsDrawnOnce) {
  EXPECT_EQ(*journal_->Instance("first"), "first");
  Open();
  EXPECT_EQ(*journal_->Instance("second"), "first");
}

}  // namespace
}  // namespace tributary::client

#include "server/engine_runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <future>
#include <sstream>

#include "core/files.h"
#include "tests/core/test_files.h"
#include "tests/server/engine_harness.h"

namespace tributary::server {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

// Collects the actions; tests wait for one, never for a time.
class RecordingSink final : public ActionSink {
 public:
  void Perform(const Action& action, const State&) override {
    MutexLock lock(mutex_);
    actions_.push_back(Text(action));
    changed_.NotifyAll();
  }
  void Tick(const State&, bool) override {
    MutexLock lock(mutex_);
    ++ticks_;
    changed_.NotifyAll();
  }
  void Await(const std::string& action) {
    MutexLock lock(mutex_);
    while (std::find(actions_.begin(), actions_.end(), action) == actions_.end()) {
      changed_.Wait(mutex_);
    }
  }
  void AwaitTicks(int more) {
    MutexLock lock(mutex_);
    const int until = ticks_ + more;
    while (ticks_ < until) changed_.Wait(mutex_);
  }
  std::vector<std::string> actions() {
    MutexLock lock(mutex_);
    return actions_;
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  std::vector<std::string> actions_ TRIBUTARY_GUARDED_BY(mutex_);
  int ticks_ TRIBUTARY_GUARDED_BY(mutex_) = 0;
};

class EngineRunnerTest : public testing::Test {
 protected:
  void Open() {
    auto runner = EngineRunner::Open(directory_ / "journal.db", clock_, sink_);
    ASSERT_TRUE(runner.ok()) << runner.status();
    runner_ = *std::move(runner);
  }
  Result<EngineRunner::Page> ReadJournal(std::int64_t after = 0) {
    std::promise<Result<EngineRunner::Page>> page;
    runner_->ReadJournal(after,
                         [&](Result<EngineRunner::Page> read) { page.set_value(std::move(read)); });
    return page.get_future().get();
  }
  Status Post(const Event& event) {
    std::promise<Status> outcome;
    runner_->Post(event, [&](const Status& status) { outcome.set_value(status); });
    return outcome.get_future().get();
  }
  std::string StateText() {
    std::promise<std::string> text;
    runner_->Read([&](const State& state) { text.set_value(Text(state)); });
    return text.get_future().get();
  }
  // One site, one round, up to the open training round.
  void StartCampaign(const std::string& more = "pacing: {rounds: 1}\n") {
    ASSERT_TRUE(Post(SiteEnrolled{"a", "f"}).ok());
    ASSERT_TRUE(
        Post(CampaignSubmitted{"c", "lena", CampaignYaml({"a"}, more), DigestOf("v0"), 1}).ok());
    ASSERT_TRUE(Post(CampaignAnswered{"c", "a", true, ""}).ok());
  }

  const TestDirectory directory_;
  FakeClock clock_{TimestampFromMicros(1'700'000'000'000'123)};
  RecordingSink sink_;
  std::unique_ptr<EngineRunner> runner_;
};

TEST_F(EngineRunnerTest, AppliesEventsAndPerformsTheirActions) {
  Open();
  runner_->Start();
  StartCampaign();
  sink_.Await("assign a c.r1.a.t1");
  EXPECT_THAT(sink_.actions(), ElementsAre("offer a c", "assign a c.r1.a.t1"));
}

TEST_F(EngineRunnerTest, AnEventIsDurableWhenItIsAnswered) {
  Open();
  runner_->Start();
  std::promise<void> copied;
  runner_->Post(SiteEnrolled{"a", "f"}, [&](const Status& status) {
    EXPECT_TRUE(status.ok());  // what a crash at this very moment would leave behind
    std::filesystem::create_directory(directory_ / "crash");
    for (const char* file : {"journal.db", "journal.db-wal"}) {
      std::filesystem::copy(directory_ / file, directory_ / (std::string("crash/") + file));
    }
    copied.set_value();
  });
  copied.get_future().wait();
  RecordingSink sink;
  const auto restarted = EngineRunner::Open(directory_ / "crash/journal.db", clock_, sink);
  ASSERT_TRUE(restarted.ok()) << restarted.status();
  EXPECT_TRUE((*restarted)->recovered_state().sites.contains("a"));
}

TEST_F(EngineRunnerTest, ARestartContinuesWithTheSameState) {
  Open();
  runner_->Start();
  StartCampaign();
  clock_.Advance(std::chrono::microseconds(777));
  ASSERT_TRUE(Post(UpdateAccepted{"c.r1.a.t1", EngineHarness::Facts("c.r1.a.t1")}).ok());
  const std::string before = StateText();
  runner_.reset();
  clock_.Advance(std::chrono::hours(1));
  Open();
  EXPECT_EQ(Text(runner_->recovered_state()), before);
  RecordingSink& sink = sink_;
  const auto count = [&] {
    const auto actions = sink.actions();
    return std::count(actions.begin(), actions.end(), "aggregate c 1");
  };
  EXPECT_EQ(count(), 1);
  runner_->Start();  // the fold that the restart interrupted is ordered again
  EXPECT_EQ(count(), 2);
}

// What the servers wrote that decided everything again at each start: one campaign that has
// completed, one that is paused, one in its first round, in which one of two updates has arrived.
TEST_F(EngineRunnerTest, AJournalOfTheFirstFormatGoesOn) {
  {
    auto journal = Journal::Open(directory_ / "journal.db");
    ASSERT_TRUE(journal.ok());
    const auto text = ReadFile(TRIBUTARY_TEST_DATA "/journal-format-1/journal.jsonl");
    ASSERT_TRUE(text.ok());
    std::istringstream lines(*text);
    std::int64_t at = 0;
    for (std::string event; lines >> at && std::getline(lines >> std::ws, event);) {
      ASSERT_TRUE(journal->Append({{0, TimestampFromMicros(at), event}}).ok());
    }
  }
  Open();
  const State state = runner_->recovered_state();
  const Campaign& finished = state.campaigns.at("finished");
  EXPECT_EQ(finished.phase, CampaignPhase::kCompleted);
  ASSERT_EQ(finished.versions.size(), 3U);
  EXPECT_EQ(finished.versions[2].numbers.at("optimizer.rounds"), 2);
  EXPECT_EQ(finished.versions[2].state.size(), 2U);
  const Campaign& held = state.campaigns.at("held");
  EXPECT_TRUE(held.paused);
  EXPECT_EQ(held.phase, CampaignPhase::kPlanning);
  EXPECT_EQ(held.versions.size(), 2U);
  const Campaign& running = state.campaigns.at("running");
  EXPECT_EQ(running.phase, CampaignPhase::kTraining);
  EXPECT_EQ(running.tasks.at("running.r1.alpha.t1").phase, TaskPhase::kAccepted);
  EXPECT_EQ(running.tasks.at("running.r1.beta.t1").phase, TaskPhase::kOutstanding);

  runner_->Start();
  ASSERT_TRUE(
      Post(UpdateAccepted{"running.r1.beta.t1", EngineHarness::Facts("running.r1.beta.t1")}).ok());
  sink_.Await("aggregate running 1");
  ASSERT_TRUE(Post(CampaignResumed{"held", "lead"}).ok());
  sink_.Await("assign alpha held.r2.alpha.t1");
  const std::string before = StateText();
  runner_.reset();
  Open();
  EXPECT_EQ(Text(runner_->recovered_state()), before);
}

// Nothing before it is asked any more: neither its bytes nor today's policies.
TEST_F(EngineRunnerTest, AStartReadsTheLastSnapshotAndWhatCameAfter) {
  Open();
  runner_->Start();
  StartCampaign();
  for (int i = 0; i < 200; ++i) {
    ASSERT_TRUE(Post(CampaignPaused{"c", "x"}).ok());
    ASSERT_TRUE(Post(CampaignResumed{"c", "x"}).ok());
  }
  const std::string before = StateText();
  runner_.reset();
  {
    auto database = Database::Open(directory_ / "journal.db");
    ASSERT_TRUE(database.ok());
    ASSERT_TRUE(database->Execute("UPDATE journal SET event = '{}' WHERE sequence < 100").ok());
  }
  Open();
  EXPECT_EQ(Text(runner_->recovered_state()), before);
  runner_->Start();
  ASSERT_TRUE(Post(CampaignPaused{"c", "y"}).ok());
  EXPECT_THAT(StateText(), HasSubstr("paused by y"));
}

TEST_F(EngineRunnerTest, ARefusedEventIsNotJournaled) {
  Open();
  runner_->Start();
  EXPECT_EQ(Post(CampaignPaused{"c", "x"}).code(), StatusCode::kNotFound);
  ASSERT_TRUE(Post(SiteEnrolled{"a", "f"}).ok());
  const auto entries = ReadJournal();
  ASSERT_TRUE(entries.ok());
  ASSERT_EQ(entries->size(), 1u);
  EXPECT_EQ((*entries)[0].at, clock_.Now());
  EXPECT_EQ((*entries)[0].event_json, EncodeEvent(SiteEnrolled{"a", "f"}));
}

TEST_F(EngineRunnerTest, EventsOfOneBatchSeeEachOther) {
  Open();
  std::vector<Status> outcomes(3);
  std::promise<void> last;
  runner_->Post(SiteEnrolled{"a", "f"}, [&](const Status& status) { outcomes[0] = status; });
  const CampaignSubmitted submitted{"c", "lena", CampaignYaml({"a"}), DigestOf("v0"), 1};
  runner_->Post(submitted, [&](const Status& status) { outcomes[1] = status; });
  runner_->Post(submitted, [&](const Status& status) {
    outcomes[2] = status;
    last.set_value();
  });
  runner_->Start();
  last.get_future().wait();
  EXPECT_TRUE(outcomes[0].ok());
  EXPECT_TRUE(outcomes[1].ok());
  EXPECT_EQ(outcomes[2].code(), StatusCode::kAlreadyExists);
}

TEST_F(EngineRunnerTest, ADeadlinePassesWhenTheClockDoes) {
  Open();
  runner_->Start();
  ASSERT_TRUE(Post(SiteEnrolled{"b", "f"}).ok());
  ASSERT_TRUE(Post(SiteEnrolled{"a", "f"}).ok());
  ASSERT_TRUE(
      Post(CampaignSubmitted{"c", "lena",
                             CampaignYaml({"a", "b"}, "pacing: {quorum: 1, deadline: 60s}\n"),
                             DigestOf("v0"), 1})
          .ok());
  ASSERT_TRUE(Post(CampaignAnswered{"c", "a", true, ""}).ok());
  clock_.Advance(std::chrono::seconds(59));
  sink_.AwaitTicks(2);
  EXPECT_THAT(sink_.actions(), testing::Not(Contains("assign a c.r1.a.t1")));
  clock_.Advance(std::chrono::seconds(1));
  sink_.Await("assign a c.r1.a.t1");
}

// Somebody sets the machine's clock, forwards or back: the round still has its time, and no more.
TEST_F(EngineRunnerTest, AClockThatIsSetMovesNoDeadline) {
  for (const auto jump : {std::chrono::hours(48), std::chrono::hours(-48)}) {
    runner_.reset();
    std::filesystem::remove_all(directory_ / "jump");
    std::filesystem::create_directory(directory_ / "jump");
    FakeClock clock(TimestampFromMicros(1'700'000'000'000'123));
    RecordingSink sink;
    runner_ = *EngineRunner::Open(directory_ / "jump/journal.db", clock, sink);
    runner_->Start();
    for (const char* site : {"a", "b"}) ASSERT_TRUE(Post(SiteEnrolled{site, "f"}).ok());
    const std::string yaml = CampaignYaml({"a", "b"}, "pacing: {quorum: 1, deadline: 60s}\n");
    ASSERT_TRUE(Post(CampaignSubmitted{"c", "lena", yaml, DigestOf("v0"), 1}).ok());
    ASSERT_TRUE(Post(CampaignAnswered{"c", "a", true, ""}).ok());
    clock.Set(clock.Now() + jump);
    clock.Advance(std::chrono::seconds(59));
    sink.AwaitTicks(2);
    EXPECT_THAT(sink.actions(), testing::Not(Contains("assign a c.r1.a.t1")));
    clock.Advance(std::chrono::seconds(1));
    sink.Await("assign a c.r1.a.t1");
    runner_.reset();
  }
}

TEST_F(EngineRunnerTest, PostUntilDurableReachesTheState) {
  Open();
  runner_->Start();
  StartCampaign();
  ASSERT_TRUE(Post(UpdateAccepted{"c.r1.a.t1", EngineHarness::Facts("x")}).ok());
  runner_->PostUntilDurable(VersionPublished{"c", 1, DigestOf("v1"), 5});
  sink_.Await("assign a c.r1.a.e1");
  runner_->PostUntilDurable(VersionPublished{"c", 1, DigestOf("v1"), 5});  // refused, and dropped
  EXPECT_THAT(StateText(), HasSubstr("finishing"));
  const auto from_outside = [](const JournalEntry& entry) {
    return !IsDecision(*DecodeEvent(entry.event_json));
  };
  const auto entries = ReadJournal();
  EXPECT_EQ(std::count_if(entries->begin(), entries->end(), from_outside), 5);
}

// While it lives no file of this process can grow.
class FullDisk {
 public:
  FullDisk() {
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit none{1, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &none);
  }
  ~FullDisk() { setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_{};
};

// To find out that it cannot be written costs the engine a look at all of it.
TEST_F(EngineRunnerTest, AJournalThatCannotBeWrittenIsLeftAloneForAWhile) {
  Open();
  runner_->Start();
  ASSERT_TRUE(Post(SiteEnrolled{"a", "f"}).ok());
  {
    const FullDisk full;
    EXPECT_EQ(Post(SiteEnrolled{"b", "f"}).code(), StatusCode::kUnavailable);
  }
  EXPECT_EQ(Post(SiteEnrolled{"b", "f"}).code(), StatusCode::kUnavailable);
  EXPECT_THAT(StateText(), testing::Not(HasSubstr("b f ")));
  runner_->PostUntilDurable(CampaignSubmitted{"c", "lena", CampaignYaml({"a"}), DigestOf("v0"), 1});
  sink_.Await("offer a c");
  EXPECT_EQ(Post(SiteEnrolled{"b", "f"}), OkStatus());
}

TEST_F(EngineRunnerTest, APageOfTheJournalIsBounded) {
  Open();
  runner_->Start();
  ASSERT_TRUE(Post(SiteEnrolled{"a", "f"}).ok());
  const std::string large(std::size_t{300} << 10, 'x');
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(Post(SiteEnrolled{"b", large}).ok());
  std::int64_t seen = 0;
  for (auto page = ReadJournal(); page.ok() && !page->empty(); page = ReadJournal(seen)) {
    EXPECT_LE(page->size(), 5u);
    for (const JournalEntry& entry : *page) EXPECT_EQ(entry.sequence, ++seen);
  }
  EXPECT_EQ(seen, 11);
  for (int i = 0; i < 600; ++i) runner_->Post(SiteEnrolled{"c", "f"}, nullptr);
  EXPECT_EQ(ReadJournal(seen)->size(), 500u);
}

TEST_F(EngineRunnerTest, StoppingFinishesWhatIsQueuedAndAnswersTheRest) {
  Open();
  bool durable = false;
  runner_->Post(SiteEnrolled{"a", "f"}, [&](const Status& status) { durable = status.ok(); });
  runner_->Start();
  runner_->Stop();
  EXPECT_TRUE(durable);
  EXPECT_EQ(Post(SiteEnrolled{"b", "f"}).code(), StatusCode::kUnavailable);
  EXPECT_EQ(ReadJournal().status().code(), StatusCode::kUnavailable);
}

TEST_F(EngineRunnerTest, RefusesAJournalInUse) {
  Open();
  RecordingSink sink;
  EXPECT_EQ(EngineRunner::Open(directory_ / "journal.db", clock_, sink).status().code(),
            StatusCode::kFailedPrecondition);
}

// Word for word what a server wrote that knew no tries of folds, no damaged updates, and tried
// refused tasks again.
TEST_F(EngineRunnerTest, AJournalFromBeforeOpensAndMeansWhatItMeant) {
  const std::string update =
      R"("bytes":10,"completion":"complete","compute_seconds":0.0,"digest":")" +
      DigestOf("u").ToHex() +
      R"(","learning_rate_sum":0.0,"loss_first":3.0,"loss_last":2.0,"message":"",)"
      R"("queue_seconds":0.0,"samples":4,"signature":"","startup_seconds":0.0,"statement":"",)"
      R"("steps":2,"task":"c.r1.a.t2","tokens":40,"transfer_seconds":0.0,"type":"update_accepted"})";
  {
    Journal journal = std::move(Journal::Open(directory_ / "journal.db")).value();
    std::vector<JournalEntry> entries;
    for (
        const std::string& text : std::vector<std::string>{
            R"({"certificate_fingerprint":"f","site":"a","type":"site_enrolled"})",
            R"({"campaign":"c","initial_bytes":1,"initial_digest":")" + DigestOf("v0").ToHex() +
                R"(","lead":"lena","type":"campaign_submitted","yaml":"name: c\nmodel: {name: base}\n)"
                R"(data: {train: t}\nsites: [a]\npacing: {rounds: 1, attempts: 2}\n"})",
            R"({"accepted":true,"campaign":"c","reason":"","site":"a","type":"campaign_answered"})",
            R"({"reason":"refused: not finite","task":"c.r1.a.t1","type":"task_failed"})",
            "{" + update}) {
      entries.push_back({0, clock_.Now(), text});
    }
    ASSERT_TRUE(journal.Append(entries).ok());
  }
  Open();
  const Campaign& campaign = runner_->recovered_state().campaigns.at("c");
  EXPECT_EQ(campaign.phase, CampaignPhase::kAggregating);
  EXPECT_EQ(campaign.tasks.at("c.r1.a.t2").tries, 2);
  runner_->Start();
  EXPECT_THAT(sink_.actions(), ElementsAre("aggregate c 1"));
}

TEST_F(EngineRunnerTest, AnEntryThatDoesNotFitIsDataLoss) {
  const auto open_with = [&](const std::string& file, const std::vector<std::string>& texts) {
    Journal journal = std::move(Journal::Open(directory_ / file)).value();
    std::vector<JournalEntry> entries;
    for (const std::string& text : texts) entries.push_back({0, Timestamp{}, text});
    EXPECT_TRUE(journal.Append(entries).ok());
  };
  open_with("gap.db", {InFirstFormat(SiteEnrolled{"a", "f"}),
                       InFirstFormat(VersionPublished{"c", 1, DigestOf("v"), 1})});
  Status status = EngineRunner::Open(directory_ / "gap.db", clock_, sink_).status();
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_THAT(status.message(), HasSubstr("journal entry 2 does not fit the state before it: "));
  open_with("damaged.db", {"{\"type\":\"site_en"});
  status = EngineRunner::Open(directory_ / "damaged.db", clock_, sink_).status();
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_THAT(status.message(), HasSubstr("journal entry 1: "));
}

}  // namespace
}  // namespace tributary::server

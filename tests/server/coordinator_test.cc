#include "server/coordinator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "core/safetensors.h"
#include "proto/campaign_changes.h"
#include "tests/core/test_files.h"
#include "tests/server/engine_harness.h"

namespace tributary::server {
namespace {

class CoordinatorTest : public testing::Test {
 protected:
  ~CoordinatorTest() override { release_.set_value(); }

  Digest Put(const std::string& bytes) {
    const std::string path = blobs_.ScratchDirectory() + "/new";
    EXPECT_TRUE(WriteFileAtomic(path, bytes).ok());
    EXPECT_TRUE(blobs_.Adopt(path, Sha256Of(bytes)).ok());
    return Sha256Of(bytes);
  }

  const TestDirectory directory_;
  BlobStore blobs_ = std::move(BlobStore::Open(directory_.path())).value();
  SystemClock clock_;
  std::promise<void> release_;
  WorkerPool workers_{1};
  Coordinator coordinator_{clock_, blobs_, Coordinator::Lanes{workers_, workers_, workers_}, {}};
};

// Two campaigns may have the same update. While the workers are busy, one is done with it and the
// other's report comes: that report must not find a blob that is about to go.
TEST_F(CoordinatorTest, ABlobThatIsRemovedIsGoneBeforeTheNextReportIsJudged) {
  workers_.Submit([this] { release_.get_future().wait(); });
  const Digest update = Put("update");
  coordinator_.Perform(RemoveBlobs{{update}}, State{});
  EXPECT_FALSE(blobs_.Has(update));
}

TEST_F(CoordinatorTest, WhatTheStateNamesOrSomebodyHoldsStays) {
  const Digest version = Put("version");
  const Digest held = Put("held");
  const Digest gone = Put("gone");
  State state;
  state.campaigns["c"].id = "c";
  state.campaigns["c"].versions.push_back({0, version, 7, {}});
  {
    const BlobHolds::Hold hold = coordinator_.holds().Take(held);
    coordinator_.Perform(RemoveBlobs{{version, held, gone}}, state);
  }
  EXPECT_TRUE(blobs_.Has(version));
  EXPECT_TRUE(blobs_.Has(held));
  EXPECT_FALSE(blobs_.Has(gone));
  coordinator_.Perform(RemoveBlobs{{version, held, gone}}, state);
  EXPECT_TRUE(blobs_.Has(version));
  EXPECT_FALSE(blobs_.Has(held));
}

// Its digest may be known from a round that is past, and the same work makes the same bits.
TEST_F(CoordinatorTest, NobodyBeginsWithWhatASiteSentBeforeItsReportCame) {
  const Digest update = Put("update");
  EXPECT_EQ(coordinator_.CheckMayBeginWith(State{}, update), OkStatus());
  coordinator_.NoteSent(update, /*landed=*/true);
  EXPECT_EQ(coordinator_.CheckMayBeginWith(State{}, update).code(), StatusCode::kPermissionDenied);
  State state;  // one that was published may be begun with, whoever sent it
  state.campaigns["c"].versions.push_back({0, update, 6, {}});
  EXPECT_EQ(coordinator_.CheckMayBeginWith(state, update), OkStatus());
  coordinator_.Perform(RemoveBlobs{{update}}, State{});
  EXPECT_FALSE(blobs_.Has(update));
  EXPECT_EQ(coordinator_.CheckMayBeginWith(State{}, update), OkStatus());
}

class RecordingStream final : public SiteStream {
 public:
  void Send(v1::ServerMessage message) override { sent.push_back(std::move(message)); }
  void Close(const std::string&) override {}
  std::vector<v1::ServerMessage> sent;
};

// The disk of a site is full when offer and task arrive: it says nothing, and stays connected.
TEST(CoordinatorReminderTest, WhatASiteCouldNotStoreIsToldAgainAndAgain) {
  const TestDirectory directory;
  BlobStore blobs = std::move(BlobStore::Open(directory.path())).value();
  WorkerPool workers(1);
  FakeClock clock;
  Coordinator coordinator(clock, blobs, Coordinator::Lanes{workers, workers, workers}, {});
  const auto written = WriteSafetensors(directory / "v0", ToHostTensors({NamedFloats{"a", {1}}}));
  ASSERT_TRUE(blobs.Adopt(directory / "v0", written->digest).ok());
  EngineHarness engine;
  for (const char* site : {"a", "b", "d"}) engine.Do(SiteEnrolled{site, "f"});
  engine.Do(CampaignSubmitted{"c", "lena", CampaignYaml({"a", "b", "d"}, "pacing: {quorum: 1}\n"),
                              written->digest, 1});
  const auto stream = std::make_shared<RecordingStream>();
  ASSERT_TRUE(coordinator.sessions().Add("a", stream, {}, {}, {}).ok());
  const auto after_a_minute = [&] {
    stream->sent.clear();
    clock.Advance(std::chrono::seconds(59));
    coordinator.Tick(engine.state, false);
    EXPECT_TRUE(stream->sent.empty()) << "spaced";
    clock.Advance(std::chrono::seconds(1));
    coordinator.Tick(engine.state, false);
    std::vector<v1::ServerMessage::KindCase> kinds;
    for (const v1::ServerMessage& message : stream->sent) kinds.push_back(message.kind_case());
    return kinds;
  };
  using testing::ElementsAre;
  EXPECT_THAT(after_a_minute(), ElementsAre(v1::ServerMessage::kCampaignOffer));
  EXPECT_THAT(after_a_minute(), ElementsAre(v1::ServerMessage::kCampaignOffer));
  CampaignChanged start{"c", "lena"};
  start.start = true;
  engine.Answer("a", true);
  engine.Answer("b", true);
  engine.Do(start);
  EXPECT_THAT(after_a_minute(), ElementsAre(v1::ServerMessage::kTask));
  v1::ClientMessage progress;  // it has the task
  progress.mutable_progress()->set_task("c.r1.a.t1");
  coordinator.HandleMessage("a", "", progress);
  EXPECT_THAT(after_a_minute(), ElementsAre());
}

// With an engine that tells the coordinator what to do.
class RunningCoordinatorTest : public testing::Test {
 protected:
  ~RunningCoordinatorTest() override {
    if (held_) release_.set_value();
    workers_.reset();  // what folds tells the runner
    runner_->Stop();
    readers_.reset();
  }

  void Start() {
    auto runner = EngineRunner::Open(directory_ / "journal.db", clock_, coordinator_, kept_tasks_);
    ASSERT_TRUE(runner.ok()) << runner.status();
    runner_ = *std::move(runner);
    coordinator_.SetRunner(runner_.get());
    runner_->Start();
  }
  void Post(const Event& event) {
    std::promise<Status> outcome;
    runner_->Post(event, [&](const Status& status) { outcome.set_value(status); });
    EXPECT_EQ(outcome.get_future().get(), OkStatus()) << EncodeEvent(event);
  }
  // Up to an update that closes round 1.
  void PostRound(int rounds = 2) {
    for (const char* site : {"a", "b"}) Post(SiteEnrolled{site, "f"});
    std::string more = "pacing: {rounds: " + std::to_string(rounds) + ", quorum: 1}\n";
    if (held_) more += "evaluation: {every: 0}\n";
    const std::string yaml = CampaignYaml({"a", "b"}, more);
    Post(CampaignSubmitted{"c", "lena", yaml, DigestOf("v0"), 1});
    Post(CampaignAnswered{"c", "b", false, "no"});
    Post(CampaignAnswered{"c", "a", true, ""});
    Post(UpdateAccepted{"c.r1.a.t1", EngineHarness::Facts("c.r1.a.t1")});
  }
  // So many rounds, of which nobody is evaluated; the last one is open. No fold ends.
  void PostRounds(int rounds) {
    held_ = true;
    workers_->Submit([this] { release_.get_future().wait(); });
    kept_tasks_ = 0;
    Start();
    PostRound(rounds);
    for (int round = 1; round < rounds; ++round) {
      Post(VersionPublished{"c", round, DigestOf("v" + std::to_string(round)), 1});
      const std::string next = "c.r" + std::to_string(round + 1) + ".a.t1";
      if (round + 1 < rounds) Post(UpdateAccepted{next, EngineHarness::Facts(next)});
    }
  }
  v1::CampaignStatus Describe(RoundRange range) {
    std::promise<v1::CampaignStatus> said;
    runner_->Read([&](const State& state) {
      coordinator_.history().Describe(
          state, "c", range, [&](const Result<v1::CampaignStatus>& status, const State&) {
            EXPECT_TRUE(status.ok()) << status.status();
            said.set_value(status.ok() ? *status : v1::CampaignStatus());
          });
    });
    return said.get_future().get();
  }
  // Without what the engine decided.
  std::vector<std::string> Journal() {
    std::promise<Result<EngineRunner::Page>> page;
    runner_->ReadJournal(0,
                         [&](Result<EngineRunner::Page> read) { page.set_value(std::move(read)); });
    const Result<EngineRunner::Page> read = page.get_future().get();
    EXPECT_TRUE(read.ok()) << read.status();
    std::vector<std::string> events;
    if (!read.ok()) return events;
    for (const JournalEntry& entry : *read) {
      if (!IsDecision(*DecodeEvent(entry.event_json))) events.push_back(entry.event_json);
    }
    return events;
  }
  Campaign AwaitCampaign(const std::function<bool(const Campaign&)>& condition) {
    while (true) {
      std::promise<Campaign> now;
      runner_->Read([&](const State& state) { now.set_value(state.campaigns.at("c")); });
      Campaign campaign = now.get_future().get();
      if (condition(campaign)) return campaign;
      std::this_thread::yield();
    }
  }

  const TestDirectory directory_;
  BlobStore blobs_ = std::move(BlobStore::Open(directory_.path())).value();
  SystemClock clock_;
  std::unique_ptr<WorkerPool> workers_ = std::make_unique<WorkerPool>(1);
  std::unique_ptr<WorkerPool> readers_ = std::make_unique<WorkerPool>(1);
  Coordinator coordinator_{clock_, blobs_, Coordinator::Lanes{*workers_, *workers_, *readers_},
                           Coordinator::Limits{.keep = {.newest = 1}}};
  std::unique_ptr<EngineRunner> runner_;
  std::size_t kept_tasks_ = kKeptTasks;
  bool held_ = false;
  std::promise<void> release_;
};

TEST_F(RunningCoordinatorTest, RoundsThatArePastAreShownFromTheJournal) {
  PostRounds(7);
  const Campaign campaign = AwaitCampaign([](const Campaign&) { return true; });
  ASSERT_TRUE(campaign.rounds[3].past);
  ASSERT_FALSE(campaign.rounds[4].past);
  const v1::CampaignStatus live = coordinator_.StatusOf(campaign);
  EXPECT_EQ(live.round_history_size(), 3);
  EXPECT_EQ(live.rounds_left_out(), 4);
  const v1::CampaignStatus status = Describe({});
  EXPECT_EQ(status.rounds_left_out(), 0);
  ASSERT_EQ(status.round_history_size(), 7);
  for (int i = 0; i < 7; ++i) {
    const v1::RoundStatus& round = status.round_history(i);
    EXPECT_EQ(round.round(), i + 1);
    ASSERT_EQ(round.contributions_size(), 1) << i;
    EXPECT_EQ(round.contributions(0).site(), "a");
    EXPECT_EQ(round.contributions(0).outcome(), i < 6 ? "accepted" : "outstanding");
    EXPECT_EQ(round.version(), i < 6 ? i + 1 : 0);
  }
  const v1::CampaignStatus some = Describe({2, 5});
  ASSERT_EQ(some.round_history_size(), 4);
  EXPECT_EQ(some.round_history(0).round(), 2);
  EXPECT_EQ(some.round_history(3).round(), 5);
  EXPECT_EQ(some.rounds_left_out(), 1);
  EXPECT_EQ(Describe({6, 0}).round_history_size(), 2);
  EXPECT_EQ(Describe({99, 0}).round_history_size(), 0);
}

// Its acknowledgement was lost, and it comes back much later.
TEST_F(RunningCoordinatorTest, ASiteHearsWhatBecameOfATaskOfARoundThatIsPast) {
  PostRounds(6);
  const auto stream = std::make_shared<RecordingStream>();
  ASSERT_TRUE(coordinator_.sessions().Add("a", stream, {}, {}, {}).ok());
  coordinator_.SiteConnected("a", {"c.r1.a.t1", "c.r2.a.t9", "c.r1.b.t1"});
  v1::ClientMessage message;
  message.mutable_report()->set_task("c.r3.a.t1");
  coordinator_.HandleMessage("a", "", message);
  std::map<std::string, v1::ServerMessage> heard;
  while (heard.size() < 4) {
    std::promise<std::vector<v1::ServerMessage>> sent;
    runner_->Read([&](const State&) { sent.set_value(stream->sent); });
    for (const v1::ServerMessage& m : sent.get_future().get()) {
      if (m.has_report_ack()) heard[m.report_ack().task()] = m;
      if (m.has_cancel()) heard[m.cancel().task()] = m;
    }
    std::this_thread::yield();
  }
  EXPECT_TRUE(heard["c.r1.a.t1"].report_ack().counts());
  EXPECT_TRUE(heard["c.r3.a.t1"].report_ack().counts());
  EXPECT_EQ(heard["c.r2.a.t9"].cancel().reason(), "the server does not know this task");
  EXPECT_TRUE(heard["c.r1.b.t1"].has_cancel()) << "it is not this site's";
}

TEST_F(RunningCoordinatorTest, WatchersHearAllAndThenWhatChanged) {
  PostRounds(7);
  struct Heard {
    std::vector<v1::CampaignStatus> messages;
    bool last = false;
  };
  Heard changes;
  Heard whole;
  const auto watch = [&](Heard* heard, bool wants_changes) {
    auto watcher = std::make_shared<Watcher>();
    watcher->campaign = "c";
    watcher->changes = wants_changes;
    watcher->notify = [heard](const Result<v1::CampaignStatus>& status, bool last) {
      ASSERT_TRUE(status.ok()) << status.status();
      heard->messages.push_back(*status);
      heard->last = heard->last || last;
    };
    coordinator_.Watch(watcher);
    return watcher;
  };
  const auto one = watch(&changes, true);
  const auto other = watch(&whole, false);
  const auto await = [&](const auto& condition) {
    for (bool met = false; !met; std::this_thread::yield()) {
      std::promise<bool> now;
      runner_->Read([&](const State&) { now.set_value(condition()); });
      met = now.get_future().get();
    }
  };
  await([&] { return !changes.messages.empty() && !whole.messages.empty(); });
  Post(CampaignPaused{"c", "lena"});
  await([&] { return changes.messages.back().paused() && whole.messages.back().paused(); });
  Post(CampaignCancelled{"c", "lena"});
  await([&] { return changes.last && whole.last; });  // nothing is said from here on
  EXPECT_EQ(changes.messages.front().round_history_size(), 7);
  EXPECT_FALSE(changes.messages.front().changes());
  EXPECT_TRUE(changes.messages.back().changes());
  EXPECT_LE(changes.messages.back().round_history_size(), 3);
  for (const v1::CampaignStatus& message : whole.messages) {
    EXPECT_FALSE(message.changes());
    EXPECT_EQ(message.round_history_size(), 7);
  }
  const v1::CampaignStatus& end = whole.messages.back();
  EXPECT_EQ(end.round_history(6).contributions(0).outcome(), "cancelled");
  EXPECT_EQ(end.tasks_size(), 0);
  v1::CampaignStatus merged = changes.messages[0];
  for (std::size_t i = 1; i < changes.messages.size(); ++i) {
    MergeChanges(changes.messages[i], &merged);
  }
  EXPECT_EQ(merged.DebugString(), end.DebugString());
}

TEST_F(RunningCoordinatorTest, AFoldIsInTheJournalBeforeItBegins) {
  Start();
  PostRound();  // the disk has nothing of all this
  AwaitCampaign([](const Campaign& campaign) { return campaign.paused; });
  const auto events = Journal();
  ASSERT_FALSE(events.empty());
  EXPECT_THAT(events, testing::Contains(EncodeEvent(AggregationTried{"c", 1, 1, /*closing=*/1})));
  EXPECT_THAT(events.back(), testing::HasSubstr("aggregation_failed"));
}

TEST_F(RunningCoordinatorTest, ARoundThatIsGivenUpPausesItsCampaignWithTheReason) {
  Start();
  PostRound();
  AwaitCampaign([](const Campaign& campaign) { return campaign.paused; });
  std::promise<void> release;
  workers_->Submit([&] { release.get_future().wait(); });  // no fold ends from here on
  Post(CampaignResumed{"c", "lena"});
  for (int tries = 1; tries <= 3; ++tries) Post(AggregationTried{"c", 1, tries});
  runner_->Stop();
  runner_.reset();
  Start();
  const Campaign campaign = AwaitCampaign([](const Campaign& c) { return c.paused; });
  EXPECT_THAT(campaign.note, testing::HasSubstr("the server ended 3 times"));
  release.set_value();
}

TEST_F(RunningCoordinatorTest, AStopInGoodOrderTakesTheTryBack) {
  std::promise<void> release;
  workers_->Submit([&] { release.get_future().wait(); });
  Start();
  PostRound();
  AwaitCampaign([](const Campaign& c) { return c.rounds.back().fold_tries == 1; });
  coordinator_.NoteStop();
  runner_->Stop();
  runner_.reset();
  auto runner = EngineRunner::Open(directory_ / "journal.db", clock_, coordinator_);
  ASSERT_TRUE(runner.ok()) << runner.status();
  runner_ = *std::move(runner);
  coordinator_.SetRunner(runner_.get());
  EXPECT_EQ(runner_->recovered_state().campaigns.at("c").rounds.back().fold_tries, 0);
  release.set_value();
}

// A site that waited for its turn asks for what was removed meanwhile.
TEST_F(RunningCoordinatorTest, OnlyWhatIsKeptIsDamagedByBeingGone) {
  std::promise<void> release;
  workers_->Submit([&] { release.get_future().wait(); });
  Start();
  PostRound();
  const auto publish = [&](std::int64_t round, const std::string& version,
                           const std::string& state) {
    VersionPublished event{"c", round, DigestOf(version), 1};
    event.state["momentum"] = {DigestOf(state), 1};
    Post(event);
  };
  publish(1, "v1", "m1");
  Post(UpdateAccepted{"c.r2.a.t1", EngineHarness::Facts("c.r2.a.t1")});
  publish(2, "v2", "m2");
  const auto damage = [&](std::size_t version) {
    return AwaitCampaign([](const Campaign&) { return true; }).versions[version].damage;
  };
  coordinator_.NoteDamaged(DigestOf("m1"), "is damaged");
  EXPECT_EQ(damage(1), "") << "m1 is not needed any more";
  Post(UpdateAccepted{"c.r1.a.e1", ReportFacts{}});
  const Campaign campaign = AwaitCampaign([](const Campaign& c) { return c.ended() || !c.paused; });
  const v1::CampaignStatus status = coordinator_.StatusOf(campaign);
  EXPECT_FALSE(status.versions(0).removed());
  EXPECT_TRUE(status.versions(1).removed());
  EXPECT_FALSE(status.versions(2).removed());
  coordinator_.NoteGone(DigestOf("v1"));
  coordinator_.NoteGone(DigestOf("m2"));
  AwaitCampaign([](const Campaign& c) { return !c.versions[2].damage.empty(); });
  EXPECT_EQ(damage(1), "");
  EXPECT_THAT(damage(2), testing::EndsWith("is gone from the server's disk"));
  release.set_value();
}

// Of one batch: the first resume orders a fold, the second opens the round again.
TEST_F(RunningCoordinatorTest, ARoundThatIsOpenAgainIsNotFolded) {
  Start();
  PostRound();  // its fold fails: the disk has nothing of all this
  AwaitCampaign([](const Campaign& campaign) { return campaign.paused; });
  std::promise<void> release;
  workers_->Submit([&] { release.get_future().wait(); });
  std::promise<void> both;
  runner_->Read([&](const State&) {  // what is posted from here on is one batch
    runner_->Post(CampaignResumed{"c", "lena"}, nullptr);
    runner_->Post(AggregationFailed{"c", 1, "again"}, nullptr);
    runner_->Post(CampaignResumed{"c", "lena", {}, /*again=*/true}, [&](const Status& status) {
      EXPECT_EQ(status, OkStatus());
      both.set_value();
    });
  });
  both.get_future().wait();
  AwaitCampaign([](const Campaign& c) { return c.phase == CampaignPhase::kTraining; });
  // Whole again it is folded, although nothing that was ordered before has ended.
  Post(UpdateAccepted{"c.r1.a.t2", EngineHarness::Facts("c.r1.a.t2")});
  AwaitCampaign([](const Campaign& c) { return c.rounds.back().fold_tries == 1; });
  release.set_value();
}

TEST_F(RunningCoordinatorTest, DamageGoesWhenTheBlobIsFoundWhole) {
  Start();
  for (const char* site : {"a", "b"}) Post(SiteEnrolled{site, "f"});
  Post(CampaignSubmitted{"c", "lena", CampaignYaml({"a", "b"}), DigestOf("v0"), 1});
  coordinator_.NoteGone(DigestOf("v0"));
  AwaitCampaign([](const Campaign& c) { return !c.versions[0].damage.empty(); });
  coordinator_.NoteWhole(DigestOf("another"));
  coordinator_.NoteWhole(DigestOf("v0"));
  const Campaign campaign =
      AwaitCampaign([](const Campaign& c) { return c.versions[0].damage.empty(); });
  EXPECT_TRUE(campaign.paused) << "until somebody resumes it";
}

// It can end in the moments before the engine does, and must not pause its campaign.
TEST_F(RunningCoordinatorTest, AFoldThatAStopCutsShortHasNotFailed) {
  std::promise<void> release;
  workers_->Submit([&] { release.get_future().wait(); });
  Start();
  PostRound();
  AwaitCampaign([](const Campaign& c) { return c.rounds.back().fold_tries == 1; });
  coordinator_.NoteStop();
  release.set_value();
  workers_.reset();
  EXPECT_FALSE(AwaitCampaign([](const Campaign&) { return true; }).paused);
  EXPECT_THAT(Journal().back(), EncodeEvent(AggregationTried{"c", 1, 0, /*closing=*/1}));
}

TEST_F(RunningCoordinatorTest, ASiteMayReadVersionsOnlyOfWhatItHasAccepted) {
  Start();
  PostRound();
  const auto read = [&](const std::string& site) {
    std::promise<Status> answer;
    coordinator_.AuthorizeBlob({"fed", security::Role::kSite, site}, DigestOf("v0"),
                               Coordinator::BlobUse::kRead, "",
                               [&](const Status& status) { answer.set_value(status); });
    return answer.get_future().get();
  };
  EXPECT_EQ(read("a"), OkStatus());
  EXPECT_EQ(read("b").code(), StatusCode::kPermissionDenied) << "it refused";
  EXPECT_EQ(read("stranger").code(), StatusCode::kPermissionDenied);
}

}  // namespace
}  // namespace tributary::server

// Rounds that close while sites train on, and what comes of the updates that are late for them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/past_rounds.h"
#include "server/state_codec.h"
#include "server/strategy.h"
#include "tests/server/engine_harness.h"

namespace tributary::server {
namespace {

using testing::Contains;
using testing::ElementsAre;

std::string BufferedYaml(int rounds) {
  return "aggregator: {kind: fedbuff}\npacing: {kind: buffered, quorum: 2, rounds: " +
         std::to_string(rounds) + "}\nevaluation: {every: 0}\n";
}

std::vector<std::string> CountedIds(const EngineHarness& engine) {
  std::vector<std::string> ids;
  for (const Task* task : CountedTasks(engine.campaign(), engine.campaign().rounds.back())) {
    ids.push_back(task->id + " " +
                  std::to_string(ContributionOf(engine.campaign(), *task).staleness));
  }
  return ids;
}

TEST(CarriedTasksTest, ASiteThatIsLateTrainsOnAndCountsInTheNextRound) {
  EngineHarness engine;
  engine.Start({"a", "b", "d"}, BufferedYaml(3));
  EXPECT_THAT(engine.Update("c.r1.b.t1"), ElementsAre("ack b c.r1.b.t1 ok"));
  EXPECT_THAT(engine.Update("c.r1.a.t1"), ElementsAre("ack a c.r1.a.t1 ok", "aggregate c 1"));
  EXPECT_THAT(CountedIds(engine), ElementsAre("c.r1.a.t1 0", "c.r1.b.t1 0"));
  EXPECT_EQ(engine.task("c.r1.d.t1").phase, TaskPhase::kOutstanding);

  // The others get the new version; d is not disturbed, and its update is two versions old.
  EXPECT_THAT(engine.Publish(1),
              ElementsAre("remove " + Short("c.r1.a.t1") + " " + Short("c.r1.b.t1"),
                          "assign a c.r2.a.t1", "assign b c.r2.b.t1"));
  EXPECT_THAT(engine.campaign().rounds[0].sites, ElementsAre("a", "b"));
  EXPECT_THAT(engine.campaign().rounds[1].sites, ElementsAre("a", "b", "d"));
  EXPECT_EQ(engine.campaign().rounds[1].waiting, 3);
  EXPECT_EQ(engine.task("c.r1.d.t1").counts_in(), 2);
  EXPECT_THAT(KeptVersions(engine.campaign(), {.newest = 1}), ElementsAre(0, 1));
  engine.Update("c.r2.b.t1");
  engine.Update("c.r2.a.t1");
  engine.Publish(2);
  EXPECT_THAT(engine.Update("c.r1.d.t1"), ElementsAre("ack d c.r1.d.t1 ok"));
  EXPECT_THAT(engine.Update("c.r3.a.t1"), ElementsAre("ack a c.r3.a.t1 ok", "aggregate c 3"));
  EXPECT_THAT(CountedIds(engine), ElementsAre("c.r3.a.t1 0", "c.r1.d.t1 2"));
  EXPECT_EQ(Text(Replay(engine.log)), Text(engine.state));

  // The last round: what is still out is called off.
  EXPECT_THAT(engine.Publish(3),
              ElementsAre("cancel b c.r3.b.t1: the last round closed without it",
                          "remove " + Short("c.r3.a.t1") + " " + Short("c.r1.d.t1"), "close a c",
                          "close b c", "close d c"));
  EXPECT_EQ(engine.phase(), CampaignPhase::kCompleted);
  EXPECT_EQ(Text(Replay(engine.log)), Text(engine.state));
}

TEST(CarriedTasksTest, AnUpdateThatComesDuringTheFoldIsKeptForTheNextOne) {
  EngineHarness engine;
  engine.Start({"a", "b", "d"}, BufferedYaml(2));
  engine.Update("c.r1.a.t1");
  engine.Update("c.r1.b.t1");
  EXPECT_THAT(engine.Update("c.r1.d.t1"), ElementsAre("ack d c.r1.d.t1 ok"));
  EXPECT_THAT(CountedIds(engine), ElementsAre("c.r1.a.t1 0", "c.r1.b.t1 0")) << "decided before";
  engine.Do(CampaignPaused{"c", "lena"});
  EXPECT_THAT(engine.Publish(1),
              ElementsAre("remove " + Short("c.r1.a.t1") + " " + Short("c.r1.b.t1")));
  EXPECT_THAT(ReferencedBlobs(engine.state), Contains(DigestOf("c.r1.d.t1"))) << "no round is open";
  const auto restored = DecodeState(EncodeState(engine.state));
  ASSERT_TRUE(restored.ok()) << restored.status();
  EXPECT_EQ(Text(*restored), Text(engine.state));
  // d has sent what it had: it gets no task before that is folded.
  EXPECT_THAT(engine.Do(CampaignResumed{"c", "lena"}),
              ElementsAre("assign a c.r2.a.t1", "assign b c.r2.b.t1"));
  EXPECT_THAT(engine.Update("c.r2.b.t1"), ElementsAre("ack b c.r2.b.t1 ok", "aggregate c 2"));
  EXPECT_THAT(CountedIds(engine), ElementsAre("c.r2.b.t1 0", "c.r1.d.t1 1"));
  EXPECT_EQ(Text(Replay(engine.log)), Text(engine.state));
}

TEST(CarriedTasksTest, WhatIsLeftOfTheLastRoundIsRemoved) {
  EngineHarness engine;
  engine.Start({"a", "b", "d"}, BufferedYaml(1));
  engine.Update("c.r1.a.t1");
  engine.Update("c.r1.b.t1");
  engine.Update("c.r1.d.t1");
  EXPECT_THAT(engine.Publish(1), Contains("remove " + Short("c.r1.a.t1") + " " +
                                          Short("c.r1.b.t1") + " " + Short("c.r1.d.t1")));
  EXPECT_EQ(engine.task("c.r1.d.t1").phase, TaskPhase::kMissed);
  EXPECT_THAT(ReferencedBlobs(engine.state), ElementsAre(DigestOf("v0"), DigestOf("v1")));
}

TEST(CarriedTasksTest, ARoundThatIsFullWhenItOpensClosesAtOnce) {
  EngineHarness engine;
  engine.Start({"a", "b", "d", "e"}, BufferedYaml(2));
  for (const char* site : {"a", "b", "d", "e"}) {
    engine.Update("c.r1." + std::string(site) + ".t1");
  }
  EXPECT_THAT(engine.Publish(1), Contains("aggregate c 2"));
  EXPECT_THAT(CountedIds(engine), ElementsAre("c.r1.d.t1 1", "c.r1.e.t1 1"));
}

TEST(CarriedTasksTest, AFailureOfALateSiteIsTriedAgainFromTheNewestVersion) {
  EngineHarness engine;
  engine.Start({"a", "b", "d"}, BufferedYaml(3));
  engine.Update("c.r1.a.t1");
  engine.Update("c.r1.b.t1");
  engine.Publish(1);
  EXPECT_THAT(engine.Fail("c.r1.d.t1"), ElementsAre("ack d c.r1.d.t1 ok", "assign d c.r2.d.t2"));
  EXPECT_EQ(engine.task("c.r2.d.t2").base_version, 1);
  EXPECT_EQ(engine.task("c.r2.d.t2").tries, 2);
  EXPECT_EQ(Text(Replay(engine.log)), Text(engine.state));
}

TEST(CarriedTasksTest, ADamagedUpdateOpensTheRoundAgainAndTheOthersGoOn) {
  EngineHarness engine;
  engine.Start({"a", "b", "d"}, BufferedYaml(2));
  engine.Update("c.r1.a.t1");
  engine.Update("c.r1.b.t1");
  EXPECT_THAT(engine.Do(UpdateDamaged{"c.r1.b.t1", "rotten"}), ElementsAre("assign b c.r1.b.t2"));
  EXPECT_EQ(engine.phase(), CampaignPhase::kTraining);
  EXPECT_THAT(engine.Update("c.r1.d.t1"), ElementsAre("ack d c.r1.d.t1 ok", "aggregate c 1"));
  EXPECT_THAT(CountedIds(engine), ElementsAre("c.r1.a.t1 0", "c.r1.d.t1 0"));
}

// Two updates of one fold are damaged: the round closes again after the first, without waiting.
TEST(CarriedTasksTest, AFoldThatTheRoundWasClosedAgainAfterCountsNothing) {
  EngineHarness engine;
  engine.Start({"a", "b", "d", "e"}, BufferedYaml(2));
  engine.Update("c.r1.a.t1");
  engine.Update("c.r1.b.t1");
  engine.Update("c.r1.d.t1");
  engine.Update("c.r1.e.t1");
  EXPECT_EQ(engine.campaign().rounds[0].closings, 1);
  EXPECT_THAT(engine.Do(UpdateDamaged{"c.r1.a.t1", "rotten"}),
              ElementsAre("assign a c.r1.a.t2", "aggregate c 1"));
  EXPECT_THAT(engine.Do(UpdateDamaged{"c.r1.b.t1", "rotten"}),
              ElementsAre("assign b c.r1.b.t2", "aggregate c 1"));
  EXPECT_THAT(CountedIds(engine), ElementsAre("c.r1.d.t1 0", "c.r1.e.t1 0"));
  VersionPublished published{"c", 1, DigestOf("v1"), 100};
  for (const std::int64_t closing : {1, 2}) {
    published.closing = closing;
    EXPECT_EQ(engine.Try(published).code(), StatusCode::kFailedPrecondition);
    EXPECT_FALSE(engine.Try(AggregationTried{"c", 1, 1, closing}).ok());
    EXPECT_FALSE(engine.Try(AggregationFailed{"c", 1, "x", closing}).ok());
  }
  published.closing = 3;
  EXPECT_THAT(engine.Do(published),
              Contains("remove " + Short("c.r1.d.t1") + " " + Short("c.r1.e.t1")));
}

TEST(CarriedTasksTest, FewerRoundsEndWhatIsStillTrained) {
  EngineHarness engine;
  engine.Start({"a", "b", "d", "e"},
               "aggregator: {kind: fedbuff}\npacing: {kind: buffered, quorum: 2, rounds: 5}\n");
  engine.Update("c.r1.a.t1");
  engine.Update("c.r1.b.t1");
  engine.Update("c.r1.e.t1");
  engine.Do(CampaignPaused{"c", "lena"});
  engine.Publish(1);
  CampaignChanged change{"c", "lena"};
  change.rounds = 1;
  EXPECT_THAT(engine.Do(change), ElementsAre("cancel d c.r1.d.t1: the last round closed without it",
                                             "remove " + Short("c.r1.e.t1")));
  EXPECT_EQ(engine.phase(), CampaignPhase::kFinishing);
  EXPECT_EQ(Text(Replay(engine.log)), Text(engine.state));
}

TEST(CarriedTasksTest, ADeadlineWithoutAnUpdateSaysWhoIsWaitedFor) {
  EngineHarness engine;
  engine.Start({"a", "b"},
               "aggregator: {kind: fedbuff}\npacing: {kind: buffered, quorum: 2, rounds: 2, "
               "deadline: 60s}\nevaluation: {every: 0}\n");
  engine.Do(DeadlinePassed{"c"});
  EXPECT_EQ(engine.campaign().note, "round 1 has no update at its deadline; it waits for a b");
  EXPECT_THAT(engine.Update("c.r1.b.t1"), Contains("aggregate c 1")) << "with what there is";
}

TEST(CarriedTasksTest, EvaluationsDoNotPileUpAtASlowSite) {
  EngineHarness engine;
  engine.Start({"a", "b"},
               "aggregator: {kind: fedbuff}\npacing: {kind: buffered, quorum: 1, rounds: 3}\n");
  engine.Update("c.r1.a.t1");
  EXPECT_THAT(engine.Publish(1), Contains("assign b c.r1.b.e1"));
  engine.Evaluation("c.r1.a.e1", 1);
  engine.Update("c.r2.a.t1");
  const auto second = engine.Publish(2);
  EXPECT_THAT(second, Contains("assign a c.r2.a.e1"));
  EXPECT_THAT(second, testing::Not(Contains("assign b c.r2.b.e1"))) << "it evaluates version 1";
  engine.Update("c.r3.a.t1");
  EXPECT_THAT(engine.Publish(3), Contains("assign b c.r3.b.e1")) << "the last one is for all";
}

// As RoundsLeaveTheStateAndComeBackFromTheJournalAsTheyWere, with tasks that cross rounds.
TEST(CarriedTasksTest, PastRoundsHaveWhatWasCountedInThem) {
  EngineHarness engine;
  engine.journaled = true;
  engine.Start({"a", "b", "d"}, BufferedYaml(12));
  for (int round = 1; round < 12; ++round) {
    const std::string stem = "c.r" + std::to_string(round);
    if (round == 5) engine.Update("c.r1.d.t1");  // with b's it is enough
    if (round != 5) engine.Update(stem + (round == 6 ? ".d.t1" : ".a.t1"));
    if (round == 6) engine.Update("c.r5.a.t1");
    if (round != 6) engine.Update(round == 7 ? "c.r6.b.t1" : stem + ".b.t1");
    ASSERT_EQ(engine.phase(), CampaignPhase::kAggregating) << round;
    engine.Publish(round);
  }
  std::vector<std::string> whole;
  const auto describe = [](const Campaign& campaign, std::int64_t number) {
    const Round& round = campaign.rounds[static_cast<std::size_t>(number - 1)];
    std::string text = Join(round.sites, ",") + ":";
    for (const auto& [site, id] : round.tasks) {
      const Task& task = campaign.tasks.at(id);
      text += " " + id + " " + std::string(TaskPhaseName(task.phase)) + " " +
              std::to_string(task.counts_in()) + " " + task.facts.digest.ToHex().substr(0, 8);
    }
    return text;
  };
  for (std::int64_t round = 1; round <= 8; ++round) {
    whole.push_back(describe(engine.campaign(), round));
  }
  Compact(&engine.state, engine.now, /*kept_tasks=*/0);
  ASSERT_TRUE(engine.campaign().rounds[7].past);
  for (std::int64_t from = 1; from <= 8; ++from) {
    for (std::int64_t to = from; to <= 8; ++to) {
      PastRounds rounds("c", from, to);
      const std::int64_t first = engine.campaign().rounds[static_cast<std::size_t>(from - 1)].entry;
      for (auto i = static_cast<std::size_t>(first - 1); i < engine.log.size(); ++i) {
        const auto more =
            rounds.Take({static_cast<std::int64_t>(i + 1), engine.log[i].at, engine.log[i].event});
        ASSERT_TRUE(more.ok()) << more.status();
        if (!*more) break;
      }
      for (std::int64_t number = from; number <= to; ++number) {
        EXPECT_EQ(describe(rounds.campaign(), number), whole[static_cast<std::size_t>(number - 1)])
            << number << " of " << from << " to " << to;
      }
    }
  }
}

}  // namespace
}  // namespace tributary::server

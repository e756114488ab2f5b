#include "server/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/server/engine_harness.h"

namespace tributary::server {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

TEST(EngineTest, ACampaignLivesFromOfferToCompletion) {
  EngineHarness engine;
  EXPECT_THAT(engine.Submit({"a", "b"}), ElementsAre("offer a c", "offer b c"));
  EXPECT_EQ(engine.campaign().note, "waiting for the answer of a b");
  EXPECT_THAT(engine.Answer("b", true), IsEmpty());
  EXPECT_EQ(engine.campaign().note, "waiting for the answer of a");
  EXPECT_THAT(engine.Answer("a", true), ElementsAre("assign a c.r1.a.t1", "assign b c.r1.b.t1"));
  EXPECT_EQ(engine.phase(), CampaignPhase::kTraining);
  EXPECT_EQ(engine.campaign().note, "");
  EXPECT_THAT(engine.Update("c.r1.b.t1"), ElementsAre("ack b c.r1.b.t1 ok"));
  EXPECT_THAT(engine.Update("c.r1.a.t1"), ElementsAre("ack a c.r1.a.t1 ok", "aggregate c 1"));
  EXPECT_EQ(engine.phase(), CampaignPhase::kAggregating);

  // The next round opens at once; evaluations of the new version run beside it.
  EXPECT_THAT(
      engine.Publish(1),
      ElementsAre("remove " + Short("c.r1.a.t1") + " " + Short("c.r1.b.t1"), "assign a c.r1.a.e1",
                  "assign b c.r1.b.e1", "assign a c.r2.a.t1", "assign b c.r2.b.t1"));
  EXPECT_EQ(engine.task("c.r1.a.e1").base_version, 1);
  EXPECT_EQ(engine.task("c.r2.a.t1").base_version, 1);
  EXPECT_EQ(engine.task("c.r1.a.t1").base_version, 0);
  EXPECT_EQ(engine.campaign().rounds[0].mean_loss, 2);
  EXPECT_THAT(engine.Evaluation("c.r1.a.e1", 1.5), ElementsAre("ack a c.r1.a.e1 ok"));
  EXPECT_THAT(engine.campaign().rounds[0].metrics, ElementsAre(std::pair("a/loss/heldout", 1.5)));

  engine.Update("c.r2.a.t1");
  EXPECT_THAT(engine.Update("c.r2.b.t1"), Contains("aggregate c 2"));
  EXPECT_THAT(engine.Publish(2), Contains("assign b c.r2.b.e1"));
  EXPECT_EQ(engine.phase(), CampaignPhase::kFinishing);
  engine.Evaluation("c.r1.b.e1", 1.25);
  engine.Evaluation("c.r2.b.e1", 1);
  EXPECT_THAT(engine.Evaluation("c.r2.a.e1", 1),
              ElementsAre("ack a c.r2.a.e1 ok", "close a c", "close b c"));
  EXPECT_EQ(engine.phase(), CampaignPhase::kCompleted);
  EXPECT_EQ(engine.campaign().versions.size(), 3u);
  EXPECT_EQ(engine.campaign().ended_at, engine.now);
  EXPECT_EQ(Text(Replay(engine.log)), Text(engine.state));
}

TEST(EngineTest, WithoutEvaluationItEndsWithTheLastVersion) {
  EngineHarness engine;
  engine.Start({"a"}, "pacing: {rounds: 1}\nevaluation: {every: 0}\n");
  engine.Update("c.r1.a.t1");
  EXPECT_THAT(engine.Publish(1), ElementsAre("remove " + Short("c.r1.a.t1"), "close a c"));
  EXPECT_EQ(engine.phase(), CampaignPhase::kCompleted);
}

TEST(EngineTest, EvaluatesEverySoManyRoundsAndTheLast) {
  EngineHarness engine;
  engine.Start({"a"}, "pacing: {rounds: 5}\nevaluation: {every: 2}\n");
  std::vector<std::int64_t> evaluated;
  for (std::int64_t round = 1; round <= 5; ++round) {
    const std::string stem = "c.r" + std::to_string(round) + ".a.";
    engine.Update(stem + "t1");
    engine.Publish(round);
    if (engine.campaign().tasks.contains(stem + "e1")) evaluated.push_back(round);
  }
  EXPECT_THAT(evaluated, ElementsAre(2, 4, 5));
}

TEST(EngineTest, FinishingDoesNotWaitForEverForAnEvaluation) {
  EngineHarness engine;
  engine.Start({"a"}, "pacing: {rounds: 1}\nwalltime: 60s\n");
  engine.Update("c.r1.a.t1");
  engine.Publish(1);
  EXPECT_EQ(NextDeadline(engine.state),
            std::optional(std::pair(engine.now + std::chrono::seconds(60), std::string("c"))));
  EXPECT_THAT(engine.Do(DeadlinePassed{"c"}),
              ElementsAre("cancel a c.r1.a.e1: the campaign completed without this evaluation",
                          "close a c"));
  EXPECT_EQ(engine.phase(), CampaignPhase::kCompleted);
}

TEST(EngineTest, AFailedEvaluationIsTriedAgainAndHoldsNobodyUp) {
  EngineHarness engine;
  engine.Start({"a"}, "pacing: {rounds: 2, attempts: 2}\nwalltime: 60s\n");
  engine.Update("c.r1.a.t1");
  engine.Publish(1);
  engine.Update("c.r2.a.t1");
  engine.Publish(2);
  EXPECT_THAT(engine.Fail("c.r1.a.e1"), ElementsAre("ack a c.r1.a.e1 ok", "assign a c.r1.a.e2"));
  EXPECT_EQ(engine.task("c.r1.a.e2").base_version, 1) << "of the version that it was given";
  EXPECT_EQ(engine.task("c.r1.a.e2").delay, std::chrono::seconds(2));
  EXPECT_EQ(NextDeadline(engine.state)->first, engine.now + std::chrono::seconds(60))
      << "the end waits for it";
  EXPECT_THAT(engine.Fail("c.r1.a.e2"), ElementsAre("ack a c.r1.a.e2 ok"));
  EXPECT_THAT(engine.Refuse("c.r2.a.e1"), ElementsAre("ack a c.r2.a.e1 ok", "close a c"));
}

// As a server before there were rules wrote it: there the campaign ended with the failure, and what
// a pause held back stayed.
TEST(EngineTest, AnOldJournalFoldsToWhatItMeantThen) {
  const std::vector<std::string> events = {
      R"({"type":"site_enrolled","site":"a","certificate_fingerprint":"f"})",
      R"({"type":"campaign_submitted","campaign":"c","lead":"lena","initial_bytes":1,)"
      R"("yaml":"name: c\nmodel: {name: m}\ndata: {train: t, evaluate: [h]}\nsites: [a]\n)"
      R"(pacing: {rounds: 1}\n"})",
      R"({"type":"campaign_answered","campaign":"c","site":"a","accepted":true,"reason":""})",
      R"({"type":"campaign_paused","campaign":"c","by":"lena"})",
      InFirstFormat(UpdateAccepted{"c.r1.a.t1", EngineHarness::Facts("c.r1.a.t1")})};
  std::vector<Logged> log;
  for (const std::string& event : events) log.push_back({Timestamp{}, event});
  EXPECT_EQ(Replay(log).campaigns.at("c").phase, CampaignPhase::kTraining);
  for (const std::string event :
       {R"({"type":"campaign_resumed","campaign":"c","by":"lena"})",
        R"({"type":"version_published","campaign":"c","round":1,"bytes":1})",
        R"({"type":"task_failed","task":"c.r1.a.e1","reason":"broke"})"}) {
    log.push_back({Timestamp{}, event});
  }
  EXPECT_EQ(Replay(log).campaigns.at("c").phase, CampaignPhase::kCompleted);
}

TEST(EngineTest, ARefusalIsShownWithItsReason) {
  EngineHarness engine;
  engine.Submit({"a", "b"});
  engine.Answer("a", false, "model base is not in policy.models");
  engine.Answer("b", true);
  EXPECT_EQ(engine.phase(), CampaignPhase::kGathering);
  EXPECT_EQ(engine.campaign().note,
            "1 site accepted; the campaign needs 2; a refused: model base is not in "
            "policy.models");
  EXPECT_THAT(engine.Answer("a", true), Contains("assign a c.r1.a.t1"));
}

TEST(EngineTest, AQuorumStartsWithoutTheSitesThatRefused) {
  EngineHarness engine;
  engine.Submit({"a", "b", "d"}, "pacing: {quorum: 2}\n");
  engine.Answer("a", true);
  engine.Answer("b", false, "no");
  EXPECT_THAT(engine.Answer("d", true), ElementsAre("assign a c.r1.a.t1", "assign d c.r1.d.t1"));
}

TEST(EngineTest, TheDeadlineEndsTheGatheringWhenEnoughAccepted) {
  EngineHarness engine;
  engine.Submit({"a", "b", "d"}, "pacing: {quorum: 2, deadline: 60s}\n");
  engine.Answer("a", true);
  EXPECT_THAT(engine.Do(DeadlinePassed{"c"}), IsEmpty());
  EXPECT_EQ(engine.phase(), CampaignPhase::kGathering);
  EXPECT_THAT(engine.Answer("b", true), ElementsAre("assign a c.r1.a.t1", "assign b c.r1.b.t1"));
}

TEST(EngineTest, ClosesARoundAtItsDeadlineWithQuorumAndDiscardsTheLateUpdate) {
  EngineHarness engine;
  engine.Start({"a", "b", "d"}, "pacing: {rounds: 2, quorum: 2, deadline: 60s}\n");
  EXPECT_EQ(NextDeadline(engine.state)->first, engine.now + std::chrono::seconds(60));
  engine.Update("c.r1.a.t1");
  engine.Update("c.r1.d.t1");
  EXPECT_EQ(engine.phase(), CampaignPhase::kTraining);  // the third may still come
  EXPECT_THAT(engine.Do(DeadlinePassed{"c"}),
              ElementsAre("cancel b c.r1.b.t1: round 1 closed at its deadline", "aggregate c 1"));
  EXPECT_EQ(NextDeadline(engine.state), std::nullopt);
  EXPECT_EQ(engine.Try(UpdateAccepted{"c.r1.b.t1", {}}).code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(Text(Action(*VerdictOf(engine.state, "b", "c.r1.b.t1"))),
            "ack b c.r1.b.t1 no: round 1 closed at its deadline");
  EXPECT_THAT(engine.Publish(1), Contains("assign b c.r2.b.t1"));
}

TEST(EngineTest, ADeadlineWithoutQuorumWaitsForTheNextUpdate) {
  EngineHarness engine;
  engine.Start({"a", "b", "d"}, "pacing: {quorum: 2, deadline: 60s}\n");
  engine.Update("c.r1.a.t1");
  EXPECT_THAT(engine.Do(DeadlinePassed{"c"}), IsEmpty());
  EXPECT_THAT(engine.Update("c.r1.b.t1"),
              ElementsAre("ack b c.r1.b.t1 ok",
                          "cancel d c.r1.d.t1: round 1 closed at its deadline", "aggregate c 1"));
}

TEST(EngineTest, AFailedTaskIsTriedAgainWithTheSameSeed) {
  EngineHarness engine;
  engine.Start({"a", "b"}, "pacing: {attempts: 2}\n");
  EXPECT_THAT(engine.Fail("c.r1.a.t1"), ElementsAre("ack a c.r1.a.t1 ok", "assign a c.r1.a.t2"));
  const Task& retry = engine.task("c.r1.a.t2");
  EXPECT_EQ(retry.seed, engine.task("c.r1.a.t1").seed);
  EXPECT_EQ(retry.base_version, 0);
  EXPECT_EQ(retry.steps, engine.task("c.r1.a.t1").steps);
  EXPECT_EQ(engine.task("c.r1.a.t1").reason, "broke");
  engine.Update("c.r1.a.t2");
  EXPECT_THAT(engine.Update("c.r1.b.t1"), Contains("aggregate c 1"));
}

TEST(EngineTest, AttemptsAreSpacedMoreAndMore) {
  EngineHarness engine;
  engine.Start({"a"}, "pacing: {attempts: 6}\n");
  EXPECT_EQ(engine.task("c.r1.a.t1").delay.count(), 0);
  for (const auto& [attempt, delay] :
       std::vector<std::pair<int, int>>{{2, 2}, {3, 10}, {4, 50}, {5, 250}, {6, 250}}) {
    engine.Fail("c.r1.a.t" + std::to_string(attempt - 1));
    EXPECT_EQ(engine.task("c.r1.a.t" + std::to_string(attempt)).delay.count(), delay) << attempt;
  }
  engine.Fail("c.r1.a.t6");
  EXPECT_TRUE(engine.campaign().paused);
  engine.Do(CampaignResumed{"c", "lena"});
  EXPECT_EQ(engine.task("c.r1.a.t7").delay.count(), 0) << "who resumes has mended something";
}

// The same seed would make the same bits, and the same rule would refuse them.
TEST(EngineTest, ARefusedUpdateIsNotTrainedAgain) {
  EngineHarness engine;
  engine.Start({"a", "b"}, "pacing: {attempts: 3, quorum: 1}\n");
  EXPECT_THAT(engine.Refuse("c.r1.a.t1"), ElementsAre("ack a c.r1.a.t1 ok"));
  EXPECT_THAT(engine.Update("c.r1.b.t1"), Contains("aggregate c 1"));
}

TEST(EngineTest, ARefusalThatMissesTheQuorumPausesAtOnceWithItsReason) {
  EngineHarness engine;
  engine.Start({"a"}, "pacing: {attempts: 3}\n");
  engine.Refuse("c.r1.a.t1");
  EXPECT_TRUE(engine.campaign().paused);
  EXPECT_THAT(engine.campaign().note, HasSubstr("a: refused: not finite"));
  EXPECT_THAT(engine.Do(CampaignResumed{"c", "lena"}), ElementsAre("assign a c.r1.a.t2"));
}

TEST(EngineTest, AFoldThatEndsTheServerTimeAndAgainIsGivenUp) {
  EngineHarness engine;
  engine.Start({"a"});
  engine.Update("c.r1.a.t1");
  for (int tries = 1; tries <= 3; ++tries) {
    EXPECT_THAT(Texts(Recover(Replay(engine.log))), ElementsAre("aggregate c 1")) << tries;
    EXPECT_THAT(engine.Do(AggregationTried{"c", 1, tries}), IsEmpty());
  }
  const auto actions = Recover(Replay(engine.log));
  ASSERT_EQ(actions.size(), 1u);
  const auto& given_up = std::get<GiveUpRound>(actions[0]);
  engine.Do(AggregationFailed{"c", given_up.round, given_up.reason});
  EXPECT_THAT(engine.campaign().note,
              HasSubstr("round 1 could not be aggregated: the server ended 3 times while it was "
                        "folded; memory may not be enough; resume tries again"));
  EXPECT_THAT(Recover(engine.state), IsEmpty());
  EXPECT_THAT(engine.Do(CampaignResumed{"c", "lena"}), ElementsAre("aggregate c 1"));
  EXPECT_THAT(Texts(Recover(Replay(engine.log))), ElementsAre("aggregate c 1"));
}

TEST(EngineTest, AFoldThatWasCutShortInGoodOrderIsNotCounted) {
  EngineHarness engine;
  engine.Start({"a"});
  engine.Update("c.r1.a.t1");
  for (int restart = 0; restart < 10; ++restart) {
    engine.Do(AggregationTried{"c", 1, 1});
    engine.Do(AggregationTried{"c", 1, 0});
    EXPECT_THAT(Texts(Recover(Replay(engine.log))), ElementsAre("aggregate c 1"));
  }
}

TEST(EngineTest, AnUpdateThatTheDiskLostIsAskedForAgainAndCostsNoAttempt) {
  EngineHarness engine;
  engine.Start({"a", "b"}, "pacing: {attempts: 2}\n");
  engine.Update("c.r1.a.t1");
  engine.Update("c.r1.b.t1");
  ASSERT_EQ(engine.phase(), CampaignPhase::kAggregating);
  EXPECT_THAT(engine.Do(UpdateDamaged{"c.r1.a.t1", "damaged"}), ElementsAre("assign a c.r1.a.t2"));
  EXPECT_EQ(engine.phase(), CampaignPhase::kTraining);
  EXPECT_EQ(engine.task("c.r1.a.t2").seed, engine.task("c.r1.a.t1").seed);
  EXPECT_EQ(engine.task("c.r1.a.t2").delay.count(), 0);
  EXPECT_THAT(engine.Fail("c.r1.a.t2"), Contains("assign a c.r1.a.t3")) << "its first failure";
  EXPECT_THAT(engine.Update("c.r1.a.t3"), Contains("aggregate c 1"));
  EXPECT_THAT(AcceptedTasks(engine.campaign(), engine.campaign().rounds[0]),
              ElementsAre(&engine.task("c.r1.a.t3"), &engine.task("c.r1.b.t1")));
  engine.Publish(1);
  EXPECT_EQ(engine.Try(UpdateDamaged{"c.r1.b.t1", ""}).code(), StatusCode::kFailedPrecondition);
}

TEST(EngineTest, ARoundThatOpensAgainDoesNotWaitForSitesThatMissedIt) {
  EngineHarness engine;
  engine.Start({"a", "b", "d"}, "pacing: {quorum: 2, deadline: 60s, attempts: 1}\n");
  engine.Update("c.r1.a.t1");
  engine.Update("c.r1.b.t1");
  ASSERT_THAT(engine.Do(DeadlinePassed{"c"}), Contains("aggregate c 1"));
  EXPECT_THAT(engine.Do(UpdateDamaged{"c.r1.b.t1", "rotten"}), ElementsAre("assign b c.r1.b.t2"));
  EXPECT_THAT(engine.Update("c.r1.b.t2"), Contains("aggregate c 1"));
}

TEST(EngineTest, ADiskThatLosesUpdatesTimeAndAgainPausesTheCampaign) {
  EngineHarness engine;
  engine.Start({"a"});
  int attempt = 1;
  while (!engine.campaign().paused) {
    ASSERT_LT(attempt, 20);
    engine.Update("c.r1.a.t" + std::to_string(attempt));
    engine.Do(UpdateDamaged{"c.r1.a.t" + std::to_string(attempt++), "rotten"});
  }
  EXPECT_THAT(engine.campaign().note, HasSubstr("lost 11 updates on the server's disk: rotten"));
  EXPECT_THAT(engine.Do(CampaignResumed{"c", "lena"}), Contains("assign a c.r1.a.t12"));
}

TEST(EngineTest, AMissedQuorumPausesAndResumingTriesAgain) {
  EngineHarness engine;
  engine.Start({"a", "b"}, "pacing: {attempts: 2}\n");
  engine.Update("c.r1.b.t1");
  engine.Fail("c.r1.a.t1");
  EXPECT_THAT(engine.Fail("c.r1.a.t2", "out of memory"), ElementsAre("ack a c.r1.a.t2 ok"));
  EXPECT_TRUE(engine.campaign().paused);
  EXPECT_EQ(engine.campaign().note,
            "round 1 has 1 of 2 updates and misses its quorum; resume tries the failed sites "
            "again; a: out of memory");
  EXPECT_THAT(engine.Do(CampaignResumed{"c", "lena"}), ElementsAre("assign a c.r1.a.t3"));
  EXPECT_EQ(engine.campaign().note, "");
  EXPECT_THAT(engine.Update("c.r1.a.t3"), Contains("aggregate c 1"));
}

TEST(EngineTest, AQuorumSurvivesAFailedSite) {
  EngineHarness engine;
  engine.Start({"a", "b"}, "pacing: {attempts: 1, quorum: 1}\n");
  engine.Fail("c.r1.a.t1");
  EXPECT_THAT(engine.Update("c.r1.b.t1"), Contains("aggregate c 1"));
  EXPECT_THAT(AcceptedTasks(engine.campaign(), engine.campaign().rounds[0]),
              ElementsAre(&engine.task("c.r1.b.t1")));
}

TEST(EngineTest, AFailedAggregationPausesAndResumingOrdersItAgain) {
  EngineHarness engine;
  engine.Start({"a"});
  engine.Update("c.r1.a.t1");
  EXPECT_THAT(engine.Do(AggregationFailed{"c", 1, "disk full"}), IsEmpty());
  EXPECT_EQ(engine.campaign().note,
            "round 1 could not be aggregated: disk full; resume tries again");
  EXPECT_THAT(Recover(engine.state), IsEmpty());
  EXPECT_THAT(engine.Do(CampaignResumed{"c", "lena"}), ElementsAre("aggregate c 1"));
}

TEST(EngineTest, APauseHoldsEveryPhaseAndLosesNothing) {
  EngineHarness engine;
  const CampaignPaused pause{"c", "lena"};
  const CampaignResumed resume{"c", "lena"};
  engine.Submit({"a"}, "pacing: {rounds: 2, deadline: 60s}\n");
  EXPECT_THAT(engine.Do(pause), IsEmpty());  // gathering
  EXPECT_EQ(engine.campaign().note, "paused by lena");
  EXPECT_EQ(NextDeadline(engine.state), std::nullopt);
  EXPECT_THAT(engine.Answer("a", true), IsEmpty());
  EXPECT_THAT(engine.Do(resume), ElementsAre("assign a c.r1.a.t1"));
  engine.Do(pause);  // training: what is finished becomes a version, and no more
  EXPECT_THAT(engine.Update("c.r1.a.t1"), ElementsAre("ack a c.r1.a.t1 ok", "aggregate c 1"));
  EXPECT_THAT(Texts(Recover(engine.state)), ElementsAre("aggregate c 1"));
  EXPECT_THAT(engine.Publish(1), Not(Contains("assign a c.r2.a.t1")));
  EXPECT_EQ(engine.phase(), CampaignPhase::kPlanning);
  EXPECT_THAT(engine.Do(resume), ElementsAre("assign a c.r2.a.t1"));
  engine.Update("c.r2.a.t1");
  engine.Publish(2);
  engine.Do(pause);  // finishing
  engine.Evaluation("c.r1.a.e1", 1);
  EXPECT_THAT(engine.Evaluation("c.r2.a.e1", 1), ElementsAre("ack a c.r2.a.e1 ok"));
  EXPECT_THAT(engine.Do(resume), ElementsAre("close a c"));
}

TEST(EngineTest, AFailureWhilePausedIsTriedAgainByResuming) {
  EngineHarness engine;
  engine.Start({"a"}, "pacing: {attempts: 1, deadline: 60s}\n");
  engine.Do(CampaignPaused{"c", "lena"});
  EXPECT_THAT(engine.Fail("c.r1.a.t1"), ElementsAre("ack a c.r1.a.t1 ok"));
  EXPECT_THAT(engine.Do(CampaignResumed{"c", "lena"}), ElementsAre("assign a c.r1.a.t2"));
  EXPECT_EQ(NextDeadline(engine.state)->first, engine.now + std::chrono::seconds(60));
}

TEST(EngineTest, CancellingEndsEveryPhase) {
  const std::vector<std::pair<CampaignPhase, std::vector<Event>>> table = {
      {CampaignPhase::kGathering, {}},
      {CampaignPhase::kTraining, {CampaignAnswered{"c", "a", true, ""}}},
      {CampaignPhase::kAggregating,
       {CampaignAnswered{"c", "a", true, ""},
        UpdateAccepted{"c.r1.a.t1", EngineHarness::Facts("c.r1.a.t1")}}},
      {CampaignPhase::kFinishing,
       {CampaignAnswered{"c", "a", true, ""},
        UpdateAccepted{"c.r1.a.t1", EngineHarness::Facts("c.r1.a.t1")},
        VersionPublished{"c", 1, DigestOf("v1"), 5}}}};
  for (const auto& [phase, events] : table) {
    for (const bool paused : {false, true}) {
      EngineHarness engine;
      engine.Submit({"a"}, "pacing: {rounds: 1}\n");
      for (const Event& event : events) engine.Do(event);
      ASSERT_EQ(engine.phase(), phase);
      if (paused) engine.Do(CampaignPaused{"c", "x"});
      engine.Do(CampaignCancelled{"c", "lena"});
      EXPECT_EQ(engine.phase(), CampaignPhase::kCancelled);
      EXPECT_EQ(engine.campaign().note, "cancelled by lena");
      for (const auto& [id, task] : engine.campaign().tasks) {
        EXPECT_NE(task.phase, TaskPhase::kOutstanding) << id;
      }
      EXPECT_EQ(engine.Try(CampaignCancelled{"c", "lena"}).message(), "campaign c is cancelled");
      EXPECT_EQ(NextDeadline(engine.state), std::nullopt);
      EXPECT_THAT(Recover(engine.state), IsEmpty());
      EXPECT_EQ(ReferencedBlobs(engine.state).size(), engine.campaign().versions.size());
    }
  }
}

TEST(EngineTest, CancellingATrainingRoundTellsTheSites) {
  EngineHarness engine;
  engine.Start({"a", "b"});
  engine.Update("c.r1.a.t1");
  EXPECT_THAT(engine.Do(CampaignCancelled{"c", "lena"}),
              ElementsAre("cancel b c.r1.b.t1: the campaign is cancelled",
                          "remove " + Short("c.r1.a.t1"), "close a c", "close b c"));
  EXPECT_EQ(Text(Action(*VerdictOf(engine.state, "b", "c.r1.b.t1"))),
            "ack b c.r1.b.t1 no: the campaign is cancelled");
}

TEST(EngineTest, ASiteThatChangesItsMindLosesItsTasks) {
  EngineHarness engine;
  engine.Start({"a", "b"}, "pacing: {quorum: 1, attempts: 3}\n");
  EXPECT_THAT(engine.Answer("a", false, "maintenance"),
              ElementsAre("cancel a c.r1.a.t1: the site refuses the campaign: maintenance"));
  EXPECT_EQ(engine.task("c.r1.a.t1").phase, TaskPhase::kFailed);
  EXPECT_THAT(engine.Update("c.r1.b.t1"), Contains("aggregate c 1"));
  EXPECT_THAT(engine.Publish(1), Not(Contains("assign a c.r2.a.t1")));
  EXPECT_THAT(engine.campaign().rounds[1].sites, ElementsAre("b"));
}

TEST(EngineTest, ASiteThatComesBackToAFailedRoundIsTriedAgain) {
  EngineHarness engine;
  engine.Start({"a"});
  engine.Answer("a", false, "maintenance");
  EXPECT_THAT(engine.campaign().note, HasSubstr("a: the site refuses the campaign: maintenance"));
  engine.Do(CampaignResumed{"c", "lena"});  // still refused: nothing to try
  EXPECT_TRUE(engine.campaign().paused);
  engine.Answer("a", true);
  EXPECT_THAT(engine.Do(CampaignResumed{"c", "lena"}), ElementsAre("assign a c.r1.a.t2"));
}

TEST(EngineTest, TooFewSitesPauseTheCampaignBeforeTheNextRound) {
  for (const char* quorum : {"0", "1", "2"}) {
    EngineHarness engine;
    engine.Start({"a", "b"}, std::string("pacing: {rounds: 2, quorum: ") + quorum + "}\n");
    engine.Update("c.r1.a.t1");
    engine.Update("c.r1.b.t1");
    engine.Answer("a", false, "maintenance");
    if (*quorum != '2') engine.Answer("b", false, "maintenance");
    engine.Publish(1);
    EXPECT_EQ(engine.phase(), CampaignPhase::kPlanning);
    EXPECT_EQ(engine.campaign().rounds.size(), 1u);
    EXPECT_TRUE(engine.campaign().paused);
    EXPECT_EQ(engine.campaign().note,
              "too few sites take part in round 2; resume when more accept the campaign again");
    engine.Answer("a", true);
    EXPECT_THAT(engine.Do(CampaignResumed{"c", "lena"}), Contains("assign a c.r2.a.t1"));
  }
}

// A round of four would cost all its node-hours and could not be folded.
TEST(EngineTest, NoRoundOpensThatItsAggregatorCannotFold) {
  EngineHarness engine;
  const std::vector<std::string> sites = {"a", "b", "d", "e", "f"};
  engine.Start(sites, "pacing: {rounds: 2}\naggregator: {kind: krum}\n");
  for (const std::string& site : sites) engine.Update("c.r1." + site + ".t1");
  engine.Answer("f", false, "maintenance");
  engine.Publish(1);
  EXPECT_EQ(engine.campaign().rounds.size(), 1u);
  EXPECT_EQ(engine.campaign().note,
            "too few sites take part in round 2; resume when more accept the campaign again");
  engine.Answer("f", true);
  EXPECT_THAT(engine.Do(CampaignResumed{"c", "lena"}), Contains("assign f c.r2.f.t1"));
}

TEST(EngineCheckTest, RefusesRepetitions) {
  EngineHarness engine;
  engine.Start({"a", "b"});
  engine.Update("c.r1.a.t1");
  EXPECT_EQ(engine.Try(UpdateAccepted{"c.r1.a.t1", {}}).code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(engine.Try(TaskFailed{"c.r1.a.t1", ""}).code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(engine.Try(CampaignAnswered{"c", "a", true, ""}).code(), StatusCode::kAlreadyExists);
  EXPECT_EQ(engine.Try(CampaignSubmitted{"c", "x", CampaignYaml({"a"}), {}, 0}).code(),
            StatusCode::kAlreadyExists);
  EXPECT_EQ(engine.Try(CampaignResumed{"c", "x"}).code(), StatusCode::kFailedPrecondition);
  engine.Do(CampaignPaused{"c", "x"});
  EXPECT_EQ(engine.Try(CampaignPaused{"c", "x"}).code(), StatusCode::kFailedPrecondition);
}

TEST(EngineCheckTest, RefusesWhatIsNotKnown) {
  EngineHarness engine;
  engine.Start({"a"});
  for (const Event& event : std::vector<Event>{
           CampaignAnswered{"x", "a", true, ""}, CampaignPaused{"x", ""}, CampaignResumed{"x", ""},
           CampaignCancelled{"x", ""}, UpdateAccepted{"c.r9.a.t1", {}}, UpdateAccepted{"", {}},
           UpdateAccepted{"x.r1.a.t1", {}}, TaskFailed{"c", ""}, VersionPublished{"x", 1, {}, 0},
           AggregationFailed{"x", 1, ""}, AggregationTried{"x", 1, 1},
           UpdateDamaged{"c.r9.a.t1", ""}, DeadlinePassed{"x"}}) {
    EXPECT_EQ(engine.Try(event).code(), StatusCode::kNotFound) << EncodeEvent(event);
  }
  EXPECT_EQ(engine.Try(CampaignAnswered{"c", "z", true, ""}).code(), StatusCode::kPermissionDenied);
}

TEST(EngineCheckTest, RefusesWhatDoesNotFitThePhase) {
  EngineHarness engine;
  engine.Start({"a"});
  for (const Event& event : std::vector<Event>{
           VersionPublished{"c", 1, {}, 0}, AggregationFailed{"c", 1, ""},
           AggregationTried{"c", 1, 1}, UpdateDamaged{"c.r1.a.t1", ""}, DeadlinePassed{"c"}}) {
    EXPECT_EQ(engine.Try(event).code(), StatusCode::kFailedPrecondition) << EncodeEvent(event);
  }
  engine.Update("c.r1.a.t1");
  EXPECT_EQ(engine.Try(VersionPublished{"c", 2, {}, 0}).code(), StatusCode::kFailedPrecondition);
  EXPECT_TRUE(engine.Try(VersionPublished{"c", 1, {}, 0}).ok());
}

TEST(EngineCheckTest, RefusesNumbersThatTheJournalCouldNotKeep) {
  EngineHarness engine;
  engine.Start({"a"});
  const auto refused = [&](auto&& change) {
    ReportFacts facts = EngineHarness::Facts("x");
    change(facts);
    return engine.Try(UpdateAccepted{"c.r1.a.t1", facts}).code() == StatusCode::kInvalidArgument;
  };
  const double nan = std::nan("");
  EXPECT_TRUE(refused([](ReportFacts& f) { f.samples = -1; }));
  EXPECT_TRUE(refused([](ReportFacts& f) { f.tokens = -1; }));
  EXPECT_TRUE(refused([](ReportFacts& f) { f.steps = -1; }));
  EXPECT_TRUE(refused([&](ReportFacts& f) { f.loss_first = nan; }));
  EXPECT_TRUE(refused([](ReportFacts& f) { f.loss_last = HUGE_VAL; }));
  EXPECT_TRUE(refused([](ReportFacts& f) { f.queue_seconds = -HUGE_VAL; }));
  EXPECT_TRUE(refused([&](ReportFacts& f) { f.metrics["loss"] = nan; }));
  EXPECT_TRUE(refused([](ReportFacts& f) { f.bytes = UINT64_MAX; }));
  EXPECT_FALSE(refused([](ReportFacts&) {}));
}

TEST(EngineCheckTest, RefusesACampaignThatCannotRun) {
  EngineHarness engine;
  engine.Do(SiteEnrolled{"a", ""});
  EXPECT_EQ(engine.Try(CampaignSubmitted{"c", "x", "not: yaml: at all", {}, 0}).code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(engine.Try(CampaignSubmitted{"c", "x", CampaignYaml({"a", "b"}), {}, 0}).message(),
            "site b is not enrolled with this federation");
}

TEST(EngineTest, ASiteThatComesBackHearsWhatIsOutstanding) {
  EngineHarness engine;
  engine.Submit({"a", "b"});
  EXPECT_THAT(Texts(Outstanding(engine.state, "a")), ElementsAre("offer a c"));
  EXPECT_THAT(Outstanding(engine.state, "stranger"), IsEmpty());
  engine.Answer("a", true);
  engine.Answer("b", true);
  EXPECT_THAT(Texts(Outstanding(engine.state, "a")),
              ElementsAre("offer a c", "assign a c.r1.a.t1"));
  engine.Update("c.r1.a.t1");
  EXPECT_THAT(Texts(Outstanding(engine.state, "a")), ElementsAre("offer a c"));
  engine.Do(CampaignCancelled{"c", "x"});
  EXPECT_THAT(Texts(Outstanding(engine.state, "a")), ElementsAre("close a c"));
}

TEST(EngineTest, ARestartOrdersInterruptedAggregationsAgain) {
  EngineHarness engine;
  engine.Start({"a"});
  EXPECT_THAT(Recover(engine.state), IsEmpty());
  engine.Update("c.r1.a.t1");
  EXPECT_THAT(Texts(Recover(Replay(engine.log))), ElementsAre("aggregate c 1"));
  engine.Publish(1);
  EXPECT_THAT(Recover(engine.state), IsEmpty());
}

TEST(EngineTest, KeepsVersionsAndUpdatesThatAreNotFoldedYet) {
  EngineHarness engine;
  engine.Start({"a", "b"});
  EXPECT_THAT(ReferencedBlobs(engine.state), ElementsAre(DigestOf("v0")));
  engine.Update("c.r1.a.t1");
  EXPECT_EQ(ReferencedBlobs(engine.state), (std::set{DigestOf("v0"), DigestOf("c.r1.a.t1")}));
  engine.Update("c.r1.b.t1");
  EXPECT_EQ(ReferencedBlobs(engine.state).size(), 3u);
  engine.Publish(1);
  EXPECT_EQ(ReferencedBlobs(engine.state), (std::set{DigestOf("v0"), DigestOf("v1")}));
}

TEST(EngineTest, KeepsTheNewestVersionsTheFirstAndThoseInUse) {
  EngineHarness engine;
  engine.Start({"a"}, "pacing: {rounds: 5}\n");
  for (int round = 1; round <= 4; ++round) {
    engine.Update("c.r" + std::to_string(round) + ".a.t1");
    engine.Publish(round);
    if (round != 2) engine.Evaluation("c.r" + std::to_string(round) + ".a.e1", 1);
  }
  EXPECT_EQ(ReferencedBlobs(engine.state, {.newest = 1}),
            (std::set{DigestOf("v0"), DigestOf("v2"), DigestOf("v4")}))
      << "version 2 is being evaluated";
  EXPECT_EQ(ReferencedBlobs(engine.state, {.newest = 2}),
            (std::set{DigestOf("v0"), DigestOf("v2"), DigestOf("v3"), DigestOf("v4")}));
  EXPECT_EQ(ReferencedBlobs(engine.state).size(), 5u);
  engine.Evaluation("c.r2.a.e1", 1);
  EXPECT_EQ(ReferencedBlobs(engine.state, {.newest = 1}),
            (std::set{DigestOf("v0"), DigestOf("v4")}));
  EXPECT_EQ(ReferencedBlobs(engine.state, {.newest = 1, .every = 3}),
            (std::set{DigestOf("v0"), DigestOf("v3"), DigestOf("v4")}));
}

TEST(EngineTest, VerdictsAreForTheTasksOwnSite) {
  EngineHarness engine;
  engine.Start({"a", "b"});
  EXPECT_EQ(VerdictOf(engine.state, "a", "c.r1.a.t1"), std::nullopt);
  engine.Update("c.r1.a.t1");
  EXPECT_TRUE(VerdictOf(engine.state, "a", "c.r1.a.t1")->accepted);
  for (const auto& [site, task] : std::vector<std::pair<std::string, std::string>>{
           {"b", "c.r1.a.t1"}, {"a", "nonsense"}, {"a", ""}}) {
    const auto verdict = VerdictOf(engine.state, site, task);
    ASSERT_TRUE(verdict);
    EXPECT_FALSE(verdict->accepted);
    EXPECT_EQ(verdict->reason, "the server does not know this task");
  }
}

TEST(EngineTest, SeedsDependOnCampaignSeedRoundAndSiteAlone) {
  const auto seed = [](const std::string& more, const std::string& site) {
    EngineHarness engine;
    engine.Start({"a", "b"}, more);
    return engine.task("c.r1." + site + ".t1").seed;
  };
  EXPECT_EQ(seed("seed: 5\n", "a"), seed("seed: 5\nwalltime: 60s\n", "a"));
  EXPECT_NE(seed("seed: 5\n", "a"), seed("seed: 6\n", "a"));
  EXPECT_NE(seed("seed: 5\n", "a"), seed("seed: 5\n", "b"));
  // Fixed for good: a campaign that goes on after an upgrade must go on with the same numbers.
  EXPECT_EQ(seed("seed: 1\n", "a"), 3'406'318'777'545'123'482U);
}

TEST(EngineTest, TheEarliestDeadlineComesFirst) {
  EngineHarness engine;
  engine.Submit({"a"}, "pacing: {deadline: 100s}\n");
  engine.Do(CampaignSubmitted{"d", "lena", CampaignYaml({"a"}, "pacing: {deadline: 50s}\n", "d"),
                              DigestOf("v0"), 1});
  EXPECT_EQ(NextDeadline(engine.state),
            std::optional(std::pair(engine.now + std::chrono::seconds(50), std::string("d"))));
  engine.Do(CampaignPaused{"d", "lena"});
  EXPECT_EQ(NextDeadline(engine.state)->second, "c");
}

TEST(EngineTest, EnrollingAgainReplacesTheCertificate) {
  EngineHarness engine;
  engine.Do(SiteEnrolled{"a", "one"});
  engine.Do(SiteEnrolled{"a", "two"});
  EXPECT_EQ(engine.state.sites.at("a").certificate_fingerprint, "two");
  EXPECT_EQ(engine.state.sites.size(), 1u);
}

TEST(EngineTest, EventsKnowTheirCampaign) {
  EXPECT_EQ(CampaignOf(SiteEnrolled{"a", ""}), "");
  EXPECT_EQ(CampaignOf(UpdateAccepted{"chem.r1.a.t1", {}}), "chem");
  EXPECT_EQ(CampaignOf(TaskFailed{"chem.r1.a.t1", ""}), "chem");
  EXPECT_EQ(CampaignOf(UpdateDamaged{"chem.r1.a.t1", ""}), "chem");
  EXPECT_EQ(CampaignOf(AggregationTried{"chem", 1, 1}), "chem");
  EXPECT_EQ(CampaignOf(DeadlinePassed{"chem"}), "chem");
}

}  // namespace
}  // namespace tributary::server

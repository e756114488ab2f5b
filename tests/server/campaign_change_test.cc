// What the lead decides about the sites and rounds of a live campaign.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/server/engine_harness.h"

namespace tributary::server {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

CampaignChanged Start() {
  CampaignChanged event{"c", "lena"};
  event.start = true;
  return event;
}
CampaignChanged Drop(const std::vector<std::string>& sites) {
  CampaignChanged event{"c", "lena"};
  event.drop = sites;
  return event;
}
CampaignChanged Rounds(std::int64_t rounds) {
  CampaignChanged event{"c", "lena"};
  event.rounds = rounds;
  return event;
}
CampaignChanged Deadline(std::int64_t seconds) {
  CampaignChanged event{"c", "lena"};
  event.deadline_seconds = seconds;
  return event;
}
CampaignResumed Without(const std::vector<std::string>& sites) {
  return CampaignResumed{"c", "lena", sites};
}

// The first of `all` that was not chosen.
std::string NotIn(const std::vector<std::string>& chosen, const std::vector<std::string>& all) {
  for (const std::string& site : all) {
    if (std::find(chosen.begin(), chosen.end(), site) == chosen.end()) return site;
  }
  return "";
}

TEST(CampaignChangeTest, StartsWithThoseWhoAcceptedWhenTheQuorumIsMet) {
  EngineHarness engine;
  engine.Submit({"a", "b", "d"}, "pacing: {quorum: 2}\n");
  engine.Answer("a", true);
  EXPECT_EQ(engine.Try(Start()).message(),
            "1 of 3 sites accepted; campaign c needs 2 (pacing.quorum, else "
            "pacing.sites_per_round, else all): drop those that it can do without");
  engine.Answer("b", true);
  EXPECT_EQ(engine.phase(), CampaignPhase::kGathering) << "d may still answer";
  EXPECT_THAT(engine.Do(Start()), ElementsAre("assign a c.r1.a.t1", "assign b c.r1.b.t1"));
  EXPECT_EQ(engine.Try(Start()).message(), "campaign c has started: it is training");
  // Who answers later takes part from the next round on.
  engine.Answer("d", true);
  engine.Update("c.r1.a.t1");
  engine.Update("c.r1.b.t1");
  EXPECT_THAT(engine.Publish(1), Contains("assign d c.r2.d.t1"));
  EXPECT_EQ(Text(Replay(engine.log)), Text(engine.state));
}

TEST(CampaignChangeTest, AnAbsentSiteThatIsDroppedHoldsTheGatheringUpNoLonger) {
  EngineHarness engine;
  engine.Submit({"a", "b"});
  engine.Answer("a", true);
  EXPECT_THAT(engine.Do(Drop({"b"})), ElementsAre("close b c", "assign a c.r1.a.t1"));
  EXPECT_EQ(engine.campaign().answers.at("b").reason, "by lena");
  EXPECT_EQ(engine.Try(CampaignAnswered{"c", "b", true, ""}).message(),
            "site b was dropped from campaign c");
  EXPECT_THAT(Texts(Outstanding(engine.state, "b")), ElementsAre("close b c"));
  EXPECT_EQ(engine.Try(Drop({"b"})).message(), "site b is dropped already");
  EXPECT_EQ(engine.Try(Drop({"z"})).code(), StatusCode::kNotFound);
  EXPECT_EQ(engine.Try(Drop({"a"})).message(),
            "campaign c would keep 0 sites and needs 1; cancel it instead");
  EXPECT_EQ(Text(Replay(engine.log)), Text(engine.state));
}

TEST(CampaignChangeTest, ASiteThatRefusedCanBeDroppedToo) {
  EngineHarness engine;
  engine.Submit({"a", "b"});
  engine.Answer("a", true);
  engine.Answer("b", false, "no such model");
  EXPECT_THAT(engine.Do(Drop({"b"})), Contains("assign a c.r1.a.t1"));
}

TEST(CampaignChangeTest, WhatADroppedSiteSentCountsAndItsWorkIsWithdrawn) {
  EngineHarness engine;
  engine.Start({"a", "b", "d"});
  engine.Update("c.r1.a.t1");
  EXPECT_THAT(engine.Do(Drop({"a", "b"})),
              ElementsAre("close a c", "cancel b c.r1.b.t1: dropped by lena", "close b c"));
  EXPECT_THAT(engine.Update("c.r1.d.t1"), Contains("aggregate c 1"));
  EXPECT_THAT(AcceptedTasks(engine.campaign(), engine.campaign().rounds[0]),
              ElementsAre(&engine.task("c.r1.a.t1"), &engine.task("c.r1.d.t1")));
  const auto next = engine.Publish(1);
  EXPECT_THAT(next, Contains("assign d c.r2.d.t1"));
  EXPECT_THAT(next, Not(Contains("assign a c.r2.a.t1")));
}

TEST(CampaignChangeTest, TheQuorumBoundsWhoCanBeDropped) {
  EngineHarness engine;
  engine.Start({"a", "b"}, "pacing: {quorum: 2}\n");
  EXPECT_EQ(engine.Try(Drop({"a"})).message(),
            "campaign c would keep 1 site and needs 2; cancel it instead");
}

TEST(CampaignChangeTest, AnOpenRoundKeepsTheSitesThatItsQuorumNeeds) {
  EngineHarness engine;
  engine.Start({"a", "b", "d"}, "pacing: {quorum: 2, sites_per_round: 2}\n");
  const std::vector<std::string> sites = engine.campaign().rounds[0].sites;
  ASSERT_EQ(sites.size(), 2u);
  engine.Answer(NotIn(sites, {"a", "b", "d"}), false);
  EXPECT_EQ(engine.Try(Drop({sites[0]})).message(), "round 1 would have 1 site and needs 2");
  engine.Update("c.r1." + sites[0] + ".t1");
  EXPECT_EQ(engine.Try(Drop({sites[0]})), OkStatus()) << "it has sent its update";
}

// Of the sites that were chosen for a round one is lost: the next by the seed does its part.
TEST(CampaignChangeTest, AnotherSiteTakesTheDroppedOnesPlaceInAnOpenRound) {
  EngineHarness engine;
  engine.Start({"a", "b", "d", "e"}, "pacing: {sites_per_round: 2, rounds: 2}\n");
  const std::vector<std::string> sites = engine.campaign().rounds[0].sites;
  engine.Update("c.r1." + sites[1] + ".t1");
  const auto actions = engine.Do(Drop({sites[0]}));
  const std::vector<std::string> now = engine.campaign().rounds[0].sites;
  ASSERT_EQ(now.size(), 3u);
  const std::string other = NotIn(sites, now);
  const std::string task = "c.r1." + other + ".t1";
  EXPECT_THAT(actions, Contains("assign " + other + " " + task));
  EXPECT_EQ(engine.campaign().tasks.at(task).base_version, 0);
  EXPECT_EQ(engine.campaign().tasks.at(task).steps,
            engine.campaign().tasks.at("c.r1." + sites[1] + ".t1").steps);
  EXPECT_THAT(engine.Update(task), Contains("aggregate c 1"));
  EXPECT_EQ(engine.Publish(1).size() > 0, true);
  EXPECT_EQ(Text(Replay(engine.log)), Text(engine.state));
}

// What it sent before it was dropped counts: there is no place to take.
TEST(CampaignChangeTest, NobodyTakesThePlaceOfASiteThatHasSentItsUpdate) {
  EngineHarness engine;
  engine.Start({"a", "b", "d", "e"}, "pacing: {sites_per_round: 2}\n");
  const std::vector<std::string> sites = engine.campaign().rounds[0].sites;
  engine.Update("c.r1." + sites[0] + ".t1");
  engine.Do(Drop({sites[0]}));
  EXPECT_EQ(engine.campaign().rounds[0].sites, sites);
}

TEST(CampaignChangeTest, APausedRoundIsFilledWhenItGoesOn) {
  EngineHarness engine;
  engine.Start({"a", "b", "d"}, "pacing: {sites_per_round: 2}\n");
  const std::vector<std::string> sites = engine.campaign().rounds[0].sites;
  engine.Do(CampaignPaused{"c", "lena"});
  engine.Do(Drop({sites[0]}));
  EXPECT_EQ(engine.campaign().rounds[0].sites, sites);
  engine.Do(CampaignResumed{"c", "lena"});
  EXPECT_EQ(engine.campaign().rounds[0].sites.size(), 3u);
}

TEST(CampaignChangeTest, FewerRoundsEndTheCampaignEarlier) {
  EngineHarness engine;
  engine.Start({"a"}, "pacing: {rounds: 5}\nevaluation: {every: 5}\n");
  engine.Update("c.r1.a.t1");
  engine.Publish(1);
  EXPECT_EQ(engine.Try(Rounds(1)).message(),
            "rounds: 1 is out of range; must be 2 (opened) to 5 (what the sites agreed to; for "
            "more, submit another campaign)");
  EXPECT_EQ(engine.Try(Rounds(6)).code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(engine.Do(Rounds(2)), IsEmpty());
  EXPECT_THAT(engine.campaign().yaml, HasSubstr("rounds: 2"));
  engine.Update("c.r2.a.t1");
  EXPECT_THAT(engine.Publish(2), Contains("assign a c.r2.a.e1"));
  EXPECT_EQ(engine.phase(), CampaignPhase::kFinishing);
  // And back, while it still lives.
  EXPECT_THAT(engine.Do(Rounds(5)), ElementsAre("assign a c.r3.a.t1"));
  EXPECT_EQ(Text(Replay(engine.log)), Text(engine.state));
}

TEST(CampaignChangeTest, ACampaignPausedBetweenRoundsCanEndThere) {
  EngineHarness engine;
  engine.Start({"a"}, "pacing: {rounds: 5}\nevaluation: {every: 5}\n");
  engine.Do(CampaignPaused{"c", "lena"});
  engine.Update("c.r1.a.t1");
  engine.Publish(1);
  ASSERT_EQ(engine.phase(), CampaignPhase::kPlanning);
  EXPECT_THAT(engine.Do(Rounds(1)), ElementsAre("assign a c.r1.a.e1"));
  EXPECT_EQ(engine.phase(), CampaignPhase::kFinishing);
  engine.Do(CampaignResumed{"c", "lena"});
  EXPECT_THAT(engine.Evaluation("c.r1.a.e1", 1), Contains("close a c"));
  EXPECT_EQ(engine.phase(), CampaignPhase::kCompleted);
}

TEST(CampaignChangeTest, ADeadlineCountsFromNowForAnOpenRound) {
  EngineHarness engine;
  engine.Start({"a", "b"}, "pacing: {quorum: 1}\n");
  engine.Update("c.r1.a.t1");
  EXPECT_EQ(NextDeadline(engine.state), std::nullopt);
  engine.Do(Deadline(60));
  EXPECT_EQ(NextDeadline(engine.state)->first, engine.now + std::chrono::seconds(60));
  EXPECT_THAT(engine.Do(DeadlinePassed{"c"}), Contains("aggregate c 1"));
  engine.Publish(1);
  EXPECT_EQ(NextDeadline(engine.state)->first, engine.now + std::chrono::seconds(60));
  engine.Do(Deadline(0));
  EXPECT_EQ(NextDeadline(engine.state), std::nullopt);
  EXPECT_EQ(engine.Try(Deadline(-2)).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(engine.Try(Deadline(400L * 86400)).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(engine.Try(CampaignChanged{"c", "lena"}).code(), StatusCode::kInvalidArgument);
}

TEST(CampaignChangeTest, ANameCanBeUsedAgainAfterItWasCancelled) {
  EngineHarness engine;
  EXPECT_EQ(CampaignIdFor(engine.state, "c"), "c");
  engine.Submit({"a"});
  EXPECT_EQ(CampaignIdFor(engine.state, "c"), "c") << "it lives: Check refuses the name";
  engine.Do(CampaignCancelled{"c", "lena"});
  ASSERT_EQ(CampaignIdFor(engine.state, "c"), "c@2");
  engine.Do(CampaignSubmitted{"c@2", "lena", CampaignYaml({"a"}), DigestOf("v0"), 1});
  EXPECT_THAT(engine.Do(CampaignAnswered{"c@2", "a", true, ""}),
              ElementsAre("assign a c@2.r1.a.t1"));
  EXPECT_EQ(engine.state.FindTask("c@2.r1.a.t1")->campaign, "c@2");
  EXPECT_EQ(CampaignOf(TaskFailed{"c@2.r1.a.t1", ""}), "c@2");
  EXPECT_EQ(CampaignIdFor(engine.state, "c"), "c@2");
  engine.Do(CampaignCancelled{"c@2", "lena"});
  EXPECT_EQ(CampaignIdFor(engine.state, "c"), "c@3");
  EXPECT_EQ(Text(Replay(engine.log)), Text(engine.state));
}

TEST(CampaignChangeTest, ResumingWithoutASiteFoldsTheOthers) {
  EngineHarness engine;
  engine.Start({"a", "b"});
  engine.Update("c.r1.a.t1");
  engine.Update("c.r1.b.t1");
  EXPECT_EQ(engine.Try(Without({"b"})).message(), "campaign c is not paused");
  engine.Do(AggregationFailed{"c", 1, "overflow in the update of b"});
  EXPECT_EQ(engine.Try(Without({"a", "b"})).message(), "round 1 would have 0 sites and needs 1");
  EXPECT_EQ(engine.Try(Without({"z"})).message(), "site z is not part of round 1");
  EXPECT_THAT(engine.Do(Without({"b"})),
              ElementsAre("remove " + Short("c.r1.b.t1"), "aggregate c 1"));
  EXPECT_THAT(AcceptedTasks(engine.campaign(), engine.campaign().rounds[0]),
              ElementsAre(&engine.task("c.r1.a.t1")));
  EXPECT_EQ(engine.task("c.r1.b.t1").reason, "left out by lena");
  EXPECT_THAT(engine.Publish(1), Contains("assign b c.r2.b.t1")) << "out of one round only";
  EXPECT_EQ(Text(Replay(engine.log)), Text(engine.state));
}

TEST(CampaignChangeTest, ARoundThatMissesItsQuorumCanGoOnWithoutTheSiteThatFails) {
  EngineHarness engine;
  engine.Start({"a", "b"}, "pacing: {attempts: 1}\n");
  engine.Update("c.r1.a.t1");
  engine.Fail("c.r1.b.t1");
  ASSERT_TRUE(engine.campaign().paused);
  EXPECT_THAT(engine.Do(Without({"b"})), ElementsAre("aggregate c 1"));
}

TEST(CampaignChangeTest, AnOpenRoundKeepsTheSitesThatItsAggregatorNeeds) {
  const std::vector<std::string> sites = {"a", "b", "d", "e", "f", "g"};
  EngineHarness engine;
  engine.Start(sites, "pacing: {sites_per_round: 5}\naggregator: {kind: krum}\n");
  const std::string site = engine.campaign().rounds.back().sites.front();
  engine.Answer(NotIn(engine.campaign().rounds.back().sites, sites), false);
  const std::string refusal = "round 1 would have 4 sites and needs 5";
  EXPECT_EQ(engine.Try(Drop({site})).message(), refusal);
  engine.Do(CampaignPaused{"c", "lena"});
  EXPECT_EQ(engine.Try(Without({site})).message(), refusal);
}

// Its journal may have what is refused now.
TEST(CampaignChangeTest, ACampaignOfEarlierRulesKeepsWhatItWasAllowed) {
  const std::vector<std::string> sites = {"a", "b", "d", "e", "f"};
  EngineHarness engine;
  for (const std::string& site : sites) engine.Do(SiteEnrolled{site, "f"});
  engine.Do(CampaignSubmitted{
      "c", "lena", CampaignYaml(sites, "pacing: {rounds: 2}\naggregator: {kind: krum}\n"),
      DigestOf("v0"), 100, /*rules=*/1});
  for (const std::string& site : sites) engine.Answer(site, true);
  engine.Do(CampaignPaused{"c", "lena"});
  engine.Do(Without({"f"}));
  for (const char* site : {"a", "b", "d"}) engine.Update(std::string("c.r1.") + site + ".t1");
  EXPECT_THAT(engine.Update("c.r1.e.t1"), Contains("aggregate c 1"));
  EXPECT_EQ(Text(Replay(engine.log)), Text(engine.state));
}

TEST(CampaignChangeTest, WhatIsFoldedNowCannotBeLeftOut) {
  EngineHarness engine;
  engine.Start({"a", "b"});
  engine.Update("c.r1.a.t1");
  engine.Update("c.r1.b.t1");
  engine.Do(CampaignPaused{"c", "lena"});
  EXPECT_THAT(engine.Try(Without({"b"})).message(), HasSubstr("campaign c is aggregating"));
  engine.Publish(1);
  EXPECT_THAT(engine.Try(CampaignResumed{"c", "lena", {}, true}).message(),
              HasSubstr("campaign c is planning"));
}

TEST(CampaignChangeTest, ResumingCanAskForTheWholeRoundAgain) {
  EngineHarness engine;
  engine.Start({"a", "b"}, "pacing: {attempts: 1}\n");
  engine.Update("c.r1.a.t1");
  engine.Update("c.r1.b.t1");
  engine.Do(AggregationFailed{"c", 1, "overflow"});
  EXPECT_THAT(engine.Do(CampaignResumed{"c", "lena", {}, true}),
              ElementsAre("assign a c.r1.a.t2", "assign b c.r1.b.t2",
                          "remove " + Short("c.r1.a.t1") + " " + Short("c.r1.b.t1")));
  EXPECT_EQ(engine.task("c.r1.a.t2").seed, engine.task("c.r1.a.t1").seed);
  EXPECT_EQ(engine.task("c.r1.a.t2").tries, 1) << "it costs no attempt";
  engine.Update("c.r1.a.t2");
  EXPECT_THAT(engine.Update("c.r1.b.t2"), Contains("aggregate c 1"));
  EXPECT_EQ(Text(Replay(engine.log)), Text(engine.state));
}

TEST(CampaignChangeTest, ADamagedVersionPausesTheCampaignThatWorksWithIt) {
  EngineHarness engine;
  engine.Start({"a"}, "pacing: {rounds: 3}\n");
  engine.Update("c.r1.a.t1");
  engine.Publish(1);
  EXPECT_THAT(engine.Do(VersionDamaged{"c", 0, "rotten"}), IsEmpty());
  EXPECT_FALSE(engine.campaign().paused) << "nobody needs it";
  engine.Do(VersionDamaged{"c", 1, "rotten"});
  EXPECT_THAT(engine.campaign().note, HasSubstr("version 1: rotten; bring the file back"));
  EXPECT_EQ(engine.Try(VersionDamaged{"c", 1, "rotten"}).code(), StatusCode::kAlreadyExists);
  EXPECT_EQ(engine.Try(VersionDamaged{"c", 2, ""}).code(), StatusCode::kNotFound);
  EXPECT_EQ(engine.Try(VersionDamaged{"z", 0, ""}).code(), StatusCode::kNotFound);
  engine.Do(CampaignResumed{"c", "lena"});
  EXPECT_EQ(engine.campaign().versions[1].damage, "");
  EXPECT_EQ(engine.campaign().versions[0].damage, "rotten");
  EXPECT_EQ(Text(Replay(engine.log)), Text(engine.state));
  // The file of an earlier version is brought back.
  engine.Do(VersionRestored{"c", 0});
  EXPECT_EQ(engine.campaign().versions[0].damage, "");
  EXPECT_EQ(engine.Try(VersionRestored{"c", 0}).code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(engine.Try(VersionRestored{"c", 2}).code(), StatusCode::kNotFound);
}

TEST(CampaignChangeTest, LeavingOutAndAskingAgainGoTogether) {
  EngineHarness engine;
  engine.Start({"a", "b"});
  engine.Update("c.r1.a.t1");
  engine.Update("c.r1.b.t1");
  engine.Do(AggregationFailed{"c", 1, "overflow"});
  const auto actions = engine.Do(CampaignResumed{"c", "lena", {"b"}, true});
  EXPECT_THAT(actions, Contains("assign a c.r1.a.t2"));
  EXPECT_THAT(actions, Not(Contains("assign b c.r1.b.t2")));
  EXPECT_THAT(engine.Update("c.r1.a.t2"), Contains("aggregate c 1"));
}

}  // namespace
}  // namespace tributary::server

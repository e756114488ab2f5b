#include "server/past_rounds.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/engine.h"
#include "tests/server/engine_harness.h"

namespace tributary::server {
namespace {

using testing::HasSubstr;

constexpr std::int64_t kLast = 20;

// Twenty rounds of two sites. An evaluation of the first round comes in the fourth, one of the
// second never; in the third a site fails once. Lets go of all it can after each round.
void RunRounds(EngineHarness* engine) {
  engine->Start({"a", "b"}, "pacing: {rounds: 20, attempts: 2}\n");
  for (std::int64_t round = 1; round <= kLast; ++round) {
    const std::string stem = "c.r" + std::to_string(round) + ".";
    if (round == 3) engine->Fail(stem + "b.t1", "broke");
    engine->Update(stem + "a.t1");
    if (round == 4) engine->Evaluation("c.r1.a.e1", 0.5);
    engine->Update(stem + (round == 3 ? "b.t2" : "b.t1"));
    engine->Publish(round);
    if (engine->journaled) Compact(&engine->state, engine->now, /*kept_tasks=*/0);
    engine->Evaluation(stem + "b.e1", static_cast<double>(round));
    if (round > 2) engine->Evaluation(stem + "a.e1", static_cast<double>(round));
  }
}

std::string RoundText(const Campaign& campaign, std::int64_t number) {
  State state;
  Campaign& copy = state.campaigns["c"];
  copy.rounds = {campaign.rounds[static_cast<std::size_t>(number - 1)]};
  copy.rounds[0].entry = 0;
  for (const auto& [id, task] : campaign.tasks) {
    if (task.round == number) copy.tasks[id] = task;
  }
  copy.outstanding = {};
  return Text(state);
}

// Versions, phase, losses: what does not depend on which rounds are past.
std::string LifeWithoutTasks(const Campaign& campaign) {
  State state;
  Campaign& copy = state.campaigns["c"];
  copy = campaign;
  copy.tasks.clear();
  copy.outstanding.clear();
  for (Round& round : copy.rounds) {
    Round bare;
    bare.number = round.number;
    bare.opened_at = round.opened_at;
    bare.closed_at = round.closed_at;
    bare.mean_loss = round.mean_loss;
    round = bare;
  }
  return Text(state);
}

PastRounds Fold(const EngineHarness& engine, std::int64_t from, std::int64_t to,
                std::size_t* taken = nullptr, const std::string& task = "") {
  PastRounds rounds("c", from, to, task);
  const std::int64_t first = engine.campaign().rounds[static_cast<std::size_t>(from - 1)].entry;
  for (auto i = static_cast<std::size_t>(first - 1); i < engine.log.size(); ++i) {
    const auto more =
        rounds.Take({static_cast<std::int64_t>(i + 1), engine.log[i].at, engine.log[i].event});
    EXPECT_TRUE(more.ok()) << more.status();
    if (taken != nullptr) *taken = i;
    if (!more.ok() || !*more) break;
  }
  return rounds;
}

TEST(PastRoundsTest, RoundsLeaveTheStateAndComeBackFromTheJournalAsTheyWere) {
  EngineHarness whole;
  EngineHarness engine;
  engine.journaled = true;
  RunRounds(&whole);
  RunRounds(&engine);
  Compact(&engine.state, engine.now, /*kept_tasks=*/0);
  const Campaign& campaign = engine.campaign();
  for (const Round& round : campaign.rounds) EXPECT_EQ(round.past, round.number <= kLast - 3);
  EXPECT_FALSE(campaign.tasks.contains("c.r1.a.t1"));
  EXPECT_TRUE(campaign.tasks.contains("c.r2.a.e1")) << "it has no end yet";
  EXPECT_EQ(campaign.phase, CampaignPhase::kFinishing);
  EXPECT_EQ(LifeWithoutTasks(campaign), LifeWithoutTasks(whole.campaign()));
  for (std::int64_t from = 1; from <= kLast; ++from) {
    for (std::int64_t to = from; to <= std::min(kLast, from + 4); ++to) {
      const PastRounds rounds = Fold(engine, from, to);
      ASSERT_EQ(rounds.campaign().rounds.size(), static_cast<std::size_t>(to));
      for (std::int64_t number = from; number <= to; ++number) {
        EXPECT_EQ(RoundText(rounds.campaign(), number), RoundText(whole.campaign(), number));
      }
      for (const auto& [id, task] : rounds.campaign().tasks) {
        EXPECT_TRUE(task.round >= from && task.round <= to) << id;
      }
    }
  }
}

TEST(PastRoundsTest, AFewRoundsStayAndThoseWhoseEvaluationsAreOut) {
  EngineHarness engine;
  engine.journaled = true;
  engine.Start({"a"}, "pacing: {rounds: 20}\n");
  for (std::int64_t round = 1; round < kLast; ++round) {
    const std::string stem = "c.r" + std::to_string(round) + ".a.";
    engine.Update(stem + "t1");
    engine.Publish(round);
    if (round != 1) engine.Evaluation(stem + "e1", 1);
    Compact(&engine.state, engine.now);
    if (round < 4) {
      EXPECT_FALSE(engine.campaign().rounds[0].past) << "so few tasks may stay";
      continue;
    }
    Compact(&engine.state, engine.now, /*kept_tasks=*/0);
    for (const Round& r : engine.campaign().rounds) {
      const bool waits = r.number == 1 && round + 1 - r.number < 16;
      EXPECT_EQ(r.past, r.number <= round + 1 - 3 && !waits) << r.number << " in " << round + 1;
    }
  }
}

TEST(PastRoundsTest, TheJournalIsReadNoFurtherThanItMustBe) {
  EngineHarness engine;
  engine.journaled = true;
  RunRounds(&engine);
  std::size_t whole = 0;
  std::size_t of_task = 0;
  std::size_t unknown = 0;
  std::size_t never = 0;
  Fold(engine, 1, 1, &whole);
  Fold(engine, 1, 1, &of_task, "c.r1.b.t1");
  Fold(engine, 1, 1, &unknown, "c.r1.b.t9");
  Fold(engine, 2, 2, &never);
  EXPECT_THAT(engine.log[whole - 1].event, HasSubstr("c.r1.a.e1"));
  EXPECT_LT(of_task, whole);
  EXPECT_LT(unknown, whole) << "its site has nothing of the round any more";
  EXPECT_EQ(never, engine.log.size() - 1) << "among so few entries it may still come";
}

// However late it is.
TEST(PastRoundsTest, TheEndOfATaskIsFoundThatCameManyRoundsLater) {
  EngineHarness engine;
  engine.journaled = true;
  RunRounds(&engine);
  engine.Fail("c.r2.a.e1", "broke");
  EXPECT_FALSE(MayExist(engine.campaign(), "c.r2.a.e3", "a"));
  EXPECT_FALSE(MayExist(engine.campaign(), "c.r2.a.e10", "a"));
  EXPECT_TRUE(MayExist(engine.campaign(), "c.r2.a.e1", "a"));
  EXPECT_TRUE(MayExist(engine.campaign(), "c.r2.a.t3", "a"));
  engine.Evaluation("c.r2.a.e2", 2);
  engine.Do(SiteEnrolled{"z", "f"});
  for (const auto& [id, phase] :
       {std::pair("c.r2.a.e1", TaskPhase::kFailed), std::pair("c.r2.a.e2", TaskPhase::kAccepted)}) {
    const PastRounds rounds = Fold(engine, 2, 2, nullptr, id);
    ASSERT_TRUE(rounds.campaign().tasks.contains(id)) << id;
    EXPECT_EQ(rounds.campaign().tasks.at(id).phase, phase) << id;
  }
}

// Others use the server too.
TEST(PastRoundsTest, WhatCampaignsDoAfterwardsIsNotRead) {
  EngineHarness engine;
  engine.journaled = true;
  RunRounds(&engine);
  engine.Evaluation("c.r2.a.e1", 2);
  ASSERT_EQ(engine.phase(), CampaignPhase::kCompleted);
  const std::size_t end = engine.log.size();
  engine.Do(CampaignSubmitted{"other", "lena", CampaignYaml({"a"}, "", "other"), DigestOf("x"), 1});
  engine.Do(SiteEnrolled{"z", "f"});
  std::size_t taken = 0;
  Fold(engine, kLast, kLast, &taken);
  EXPECT_EQ(taken, end);
}

TEST(PastRoundsTest, WhoseRoundATaskIsOfThatIsNotInTheState) {
  EngineHarness engine;
  engine.journaled = true;
  RunRounds(&engine);
  EXPECT_EQ(PastRoundOf(engine.state, "c.r1.a.t1"), 1);
  EXPECT_EQ(PastRoundOf(engine.state, "c.r2.b.e1"), 2);
  for (const char* id :
       {"c.r20.a.t1", "c.r2.a.e1", "c.r99.a.t1", "c.r0.a.t1", "x.r1.a.t1", "c", "c.", "c.r1",
        "c.r.a.t1", "c.rx.a.t1", "", "c.r99999999999999999999.a.t1"}) {
    EXPECT_EQ(PastRoundOf(engine.state, id), std::nullopt) << id;
  }
  EXPECT_TRUE(IsTaskOf("c.r1.a.t1", "a"));
  for (const char* id : {"c.r1.ab.t1", "c.r1.b.t1", "a", "c.r1.a", "c.r1", ""}) {
    EXPECT_FALSE(IsTaskOf(id, "a")) << id;
  }
  // A report that is repeated long after.
  const PastRounds rounds = Fold(engine, 1, 1, nullptr, "c.r1.a.t1");
  const auto verdict = VerdictOn(&rounds.campaign().tasks.at("c.r1.a.t1"), "a", "c.r1.a.t1");
  ASSERT_TRUE(verdict);
  EXPECT_TRUE(verdict->accepted && verdict->counts);
}

TEST(PastRoundsTest, ACampaignThatEndedIsLetGoOfAMinuteLater) {
  EngineHarness engine;
  engine.journaled = true;
  RunRounds(&engine);
  engine.Evaluation("c.r2.a.e1", 2);
  ASSERT_EQ(engine.phase(), CampaignPhase::kCompleted);
  Compact(&engine.state, engine.now + std::chrono::seconds(59));
  EXPECT_FALSE(engine.campaign().tasks.empty()) << "people may still watch its end";
  Compact(&engine.state, engine.now + std::chrono::seconds(60));
  EXPECT_TRUE(engine.campaign().tasks.empty());
  EXPECT_EQ(engine.campaign().rounds[4].mean_loss, 2);
  EXPECT_EQ(engine.campaign().versions.size(), 21U);
  EXPECT_EQ(Fold(engine, 5, 5).campaign().tasks.size(), 4U);
}

// A journal of before rounds knew their entries keeps all in memory.
TEST(PastRoundsTest, WhatTheJournalDoesNotHaveFromItsBeginningStays) {
  EngineHarness engine;
  RunRounds(&engine);
  engine.Evaluation("c.r2.a.e1", 2);
  Compact(&engine.state, engine.now + std::chrono::hours(1), /*kept_tasks=*/0);
  EXPECT_TRUE(engine.campaign().tasks.contains("c.r1.a.t1"));
  EXPECT_FALSE(engine.campaign().rounds[0].past);
}

}  // namespace
}  // namespace tributary::server

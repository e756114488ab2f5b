#include "server/apply.h"

#include <gtest/gtest.h>

#include "tests/server/engine_harness.h"

namespace tributary::server {
namespace {

// A round of three of five sites, one of which fails and is tried again; then the next one.
EngineHarness SomeHistory() {
  EngineHarness engine;
  engine.Start({"a", "b", "c", "d", "e"},
               "seed: 7\npacing: {rounds: 3, sites_per_round: 3, attempts: 2}\n");
  const std::vector<std::string> sites = engine.state.campaigns.at("c").rounds[0].sites;
  engine.Fail("c.r1." + sites[0] + ".t1");
  engine.Update("c.r1." + sites[0] + ".t2");
  engine.Update("c.r1." + sites[1] + ".t1");
  engine.Update("c.r1." + sites[2] + ".t1");
  engine.Publish(1);
  return engine;
}

void ReplaceIn(std::vector<Logged>* log, const std::string& what, const std::string& with) {
  bool found = false;
  for (Logged& entry : *log) {
    for (std::size_t at = 0; (at = entry.event.find(what, at)) != std::string::npos;) {
      entry.event.replace(at, what.size(), with);
      at += with.size();
      found = true;
    }
  }
  EXPECT_TRUE(found) << what;
}

// Of a campaign: all but its file.
std::string LifeOf(const State& state) {
  State copy = state;
  for (auto& [id, campaign] : copy.campaigns) {
    campaign.file = CampaignFile();
    campaign.yaml.clear();
  }
  return Text(copy);
}

TEST(ApplyTest, TheJournalHoldsWhatWasDecided) {
  const EngineHarness engine = SomeHistory();
  int rounds = 0;
  for (const Logged& entry : engine.log) {
    const auto event = DecodeEvent(entry.event);
    ASSERT_TRUE(event.ok());
    if (const auto* opened = std::get_if<RoundOpened>(&*event)) {
      ++rounds;
      ASSERT_EQ(opened->tasks.size(), 3U);
      EXPECT_EQ(opened->tasks[0].campaign, "c");
      EXPECT_NE(opened->tasks[0].seed, 0U);
    }
  }
  EXPECT_EQ(rounds, 2);
  EXPECT_EQ(Text(Replay(engine.log)), Text(engine.state));
}

// Today's selection, defaults, bounds and keys are not asked: with another seed and other bounds
// the same sites have trained, as often as they did.
TEST(ApplyTest, AnotherPolicyChangesNothingThatHappened) {
  const EngineHarness engine = SomeHistory();
  std::vector<Logged> log = engine.log;
  ReplaceIn(&log, "seed: 7\\npacing: {rounds: 3, sites_per_round: 3, attempts: 2}",
            "seed: 8\\npacing: {rounds: 3, sites_per_round: 5000000000, attempts: 0, "
            "a_key_that_is_gone: {x: 1}, kind: unheard-of}");
  const State replayed = Replay(log);
  EXPECT_EQ(LifeOf(replayed), LifeOf(engine.state));
  const CampaignFile& file = replayed.campaigns.at("c").file;
  EXPECT_EQ(file.seed, 8);  // what the file says is still read
  EXPECT_EQ(file.pacing.sites_per_round, 5'000'000'000);
}

TEST(ApplyTest, AnEventAboutWhatIsNotThereChangesNothing) {
  EngineHarness engine = SomeHistory();
  const std::string before = Text(engine.state);
  const std::vector<Event> strange = {UpdateAccepted{"c.r9.a.t1", {}},
                                      TaskFailed{"x.r1.a.t1", "?"},
                                      TaskSettled{"c.r1.zz.t1"},
                                      RoundReopened{"c", 77},
                                      RoundFinished{"c", -1, 2},
                                      VersionDamaged{"c", 99, "?"},
                                      FoldRequested{"nobody", 1},
                                      CampaignPaused{"nobody", "x"},
                                      PhaseStarted{"nobody", CampaignPhase::kTraining}};
  for (const Event& event : strange) Apply(&engine.state, event, engine.now);
  EXPECT_EQ(Text(engine.state), before);
}

TEST(ApplyTest, DecisionsComeFromTheEngineAlone) {
  EngineHarness engine = SomeHistory();
  EXPECT_EQ(engine.Try(CampaignHeld{"c", "x"}).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(engine.Try(RoundClosed{"c", 2}).code(), StatusCode::kInvalidArgument);
  EXPECT_TRUE(IsDecision(PhaseStarted{}));
  EXPECT_TRUE(IsDecision(RoundFinished{}));
  EXPECT_FALSE(IsDecision(VersionRestored{}));
}

}  // namespace
}  // namespace tributary::server

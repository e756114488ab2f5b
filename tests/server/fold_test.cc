#include "server/fold.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/core/test_files.h"
#include "tests/server/engine_harness.h"

namespace tributary::server {
namespace {

using testing::HasSubstr;

// Round 1 of a campaign of sites a and b, both of which have sent an update.
class FoldTest : public testing::Test {
 protected:
  FoldTest() {
    const auto put = [&](const std::string& name, std::vector<float> values) {
      const std::string path = blobs_.ScratchDirectory() + "/" + name;
      WriteFloats(path, {{"w", std::move(values)}});
      const Digest digest = *Sha256OfFile(path);
      EXPECT_TRUE(blobs_.Adopt(path, digest).ok());
      return digest;
    };
    for (const char* site : {"a", "b"}) engine_.Do(SiteEnrolled{site, ""});
    engine_.Do(CampaignSubmitted{
        "c", "lena", CampaignYaml({"a", "b"}, "pacing: {rounds: 2}\nadapter: {kind: full}\n"),
        put("v0", {1, 2, 3}), 1});
    for (const char* site : {"a", "b"}) engine_.Answer(site, true);
    for (const char* site : {"a", "b"}) {
      const std::string task = std::string("c.r1.") + site + ".t1";
      ReportFacts facts = EngineHarness::Facts(task);
      facts.digest = updates_[site] = put(site, {*site == 'a' ? 1.0F : 3.0F, 1, 1});
      engine_.Do(UpdateAccepted{task, facts});
    }
    EXPECT_EQ(engine_.phase(), CampaignPhase::kAggregating);
  }

  FoldOutcome Run() { return Fold(MakeFoldWork(engine_.campaign(), blobs_, 2), blobs_, holds_); }
  void Flip(const Digest& digest) {
    std::string bytes = *ReadFile(blobs_.PathOf(digest));
    bytes.back() = static_cast<char>(bytes.back() ^ 1);
    EXPECT_TRUE(WriteFileAtomic(blobs_.PathOf(digest), bytes).ok());
  }

  const TestDirectory directory_;
  BlobStore blobs_ = std::move(BlobStore::Open(directory_.path())).value();
  BlobHolds holds_;
  EngineHarness engine_;
  std::map<std::string, Digest> updates_;
};

TEST_F(FoldTest, WholeFilesMakeAVersionThatStaysUntilItIsNamed) {
  FoldOutcome outcome = Run();
  ASSERT_EQ(outcome.events.size(), 1u);
  const auto& published = std::get<VersionPublished>(outcome.events[0]);
  EXPECT_TRUE(blobs_.Has(published.digest));
  bool removed = false;
  holds_.UnlessHeld(published.digest, [&] { removed = true; });
  EXPECT_FALSE(removed);
  outcome.held.clear();
  holds_.UnlessHeld(published.digest, [&] { removed = true; });
  EXPECT_TRUE(removed);
}

TEST_F(FoldTest, UsesAsManyThreadsAsItIsTold) {
  EXPECT_EQ(MakeFoldWork(engine_.campaign(), blobs_, 7).input.threads, 7u);
}

TEST_F(FoldTest, AFlippedBitNeverEntersAVersionAndTheSiteIsAskedAgain) {
  Flip(updates_["b"]);
  const FoldOutcome outcome = Run();
  ASSERT_EQ(outcome.events.size(), 1u);
  const auto& damaged = std::get<UpdateDamaged>(outcome.events[0]);
  EXPECT_EQ(damaged.task, "c.r1.b.t1");
  EXPECT_THAT(damaged.reason, HasSubstr("is damaged on the server's disk"));
  EXPECT_FALSE(blobs_.Has(updates_["b"])) << "or its next upload would be taken for complete";
  EXPECT_TRUE(PathExists(directory_ / "quarantine/" + updates_["b"].ToHex()));
  EXPECT_TRUE(blobs_.Has(updates_["a"]));
  EXPECT_THAT(engine_.Do(damaged), testing::ElementsAre("assign b c.r1.b.t2"));
}

TEST_F(FoldTest, EveryUpdateThatIsShortOrGoneIsNamed) {
  ASSERT_EQ(truncate(blobs_.PathOf(updates_["a"]).c_str(), 9), 0);
  ASSERT_TRUE(blobs_.Remove(updates_["b"]).ok());
  const FoldOutcome outcome = Run();
  ASSERT_EQ(outcome.events.size(), 2u);
  EXPECT_EQ(std::get<UpdateDamaged>(outcome.events[0]).task, "c.r1.a.t1");
  EXPECT_THAT(std::get<UpdateDamaged>(outcome.events[1]).reason, HasSubstr("is gone"));
  for (const Event& event : outcome.events) engine_.Do(event);
  EXPECT_EQ(engine_.phase(), CampaignPhase::kTraining);
}

TEST_F(FoldTest, ADamagedVersionIsForAPersonAndNamed) {
  Flip(engine_.campaign().versions[0].digest);
  const FoldOutcome outcome = Run();
  ASSERT_EQ(outcome.events.size(), 2u);
  EXPECT_EQ(std::get<VersionDamaged>(outcome.events[0]).version, 0);
  EXPECT_THAT(std::get<AggregationFailed>(outcome.events[1]).reason,
              HasSubstr("the version, blob " + engine_.campaign().versions[0].digest.ToHex() +
                        ", is damaged"));
  EXPECT_TRUE(blobs_.Has(engine_.campaign().versions[0].digest));
  for (const Event& event : outcome.events) engine_.Do(event);
  EXPECT_THAT(engine_.campaign().versions[0].damage, HasSubstr("is damaged"));
  EXPECT_EQ(engine_.Try(outcome.events[0]).code(), StatusCode::kAlreadyExists);
  Flip(engine_.campaign().versions[0].digest);  // the file is brought back
  EXPECT_THAT(engine_.Do(CampaignResumed{"c", "lena"}), testing::ElementsAre("aggregate c 1"));
  EXPECT_EQ(engine_.campaign().versions[0].damage, "");
  EXPECT_TRUE(std::holds_alternative<VersionPublished>(Run().events.at(0)));
}

// What it says is for leads and observers.
TEST_F(FoldTest, AFailureDoesNotSayWhereTheServerKeepsItsFiles) {
  ASSERT_TRUE(RemoveTree(directory_ / "incoming").ok());
  const FoldOutcome outcome = Run();
  ASSERT_EQ(outcome.events.size(), 1u);
  const std::string reason = std::get<AggregationFailed>(outcome.events[0]).reason;
  EXPECT_THAT(reason, HasSubstr("c-r1-next"));
  EXPECT_THAT(reason, testing::Not(HasSubstr(directory_.path())));
}

TEST_F(FoldTest, OneThatIsStoppedSetsNothingAside) {
  const std::atomic<bool> stop = true;
  FoldWork work = MakeFoldWork(engine_.campaign(), blobs_, 2);
  work.input.stop = &stop;
  const FoldOutcome outcome = Fold(work, blobs_, holds_);
  ASSERT_EQ(outcome.events.size(), 1u);
  EXPECT_TRUE(std::holds_alternative<AggregationFailed>(outcome.events[0]));
  for (const auto& [site, update] : updates_) EXPECT_TRUE(blobs_.Has(update));
}

}  // namespace
}  // namespace tributary::server

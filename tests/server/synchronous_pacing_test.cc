#include "server/synchronous_pacing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace tributary::server {
namespace {

using testing::ElementsAre;

CampaignFile File(std::int64_t sites_per_round, std::int64_t quorum, int deadline_seconds = 0) {
  CampaignFile file;
  file.training.steps = 17;
  file.pacing.sites_per_round = sites_per_round;
  file.pacing.quorum = quorum;
  file.pacing.deadline = std::chrono::seconds(deadline_seconds);
  return file;
}

std::unique_ptr<Pacing> Synchronous(const CampaignFile& file) {
  return MakeSynchronousPacing(file).value();
}

std::vector<std::string> Sites(const RoundPlan& plan) {
  std::vector<std::string> names;
  for (const SitePlan& site : plan.sites) names.push_back(site.site);
  return names;
}

TEST(SynchronousPacingTest, DecidesAsTheTableSays) {
  struct Row {
    std::int64_t quorum;
    RoundView view;  // selected, accepted, failed, deadline passed
    Decision decision;
  };
  const std::vector<Row> table = {
      {0, {3, 0, 0, false}, Decision::kWait},       {0, {3, 2, 0, false}, Decision::kWait},
      {0, {3, 3, 0, false}, Decision::kClose},      {0, {3, 2, 0, true}, Decision::kWait},
      {0, {3, 2, 1, false}, Decision::kImpossible}, {0, {3, 0, 3, true}, Decision::kImpossible},
      {2, {3, 2, 0, false}, Decision::kWait},       {2, {3, 2, 0, true}, Decision::kClose},
      {2, {3, 2, 1, false}, Decision::kClose},      {2, {3, 3, 0, false}, Decision::kClose},
      {2, {3, 1, 0, true}, Decision::kWait},        {2, {3, 1, 1, true}, Decision::kWait},
      {2, {3, 1, 2, false}, Decision::kImpossible}, {2, {1, 1, 0, false}, Decision::kImpossible},
      {1, {3, 1, 0, true}, Decision::kClose},       {1, {3, 0, 0, true}, Decision::kWait},
  };
  for (const Row& row : table) {
    EXPECT_EQ(Synchronous(File(0, row.quorum))->Decide(row.view), row.decision)
        << row.quorum << " of " << row.view.selected << ": " << row.view.accepted << " accepted, "
        << row.view.failed << " failed, deadline " << row.view.deadline_passed;
  }
}

TEST(SynchronousPacingTest, NeverGoesOnWithLessThanCanBeFolded) {
  const auto pacing = Synchronous(File(0, 2));
  RoundView view{.selected = 4, .accepted = 4};
  EXPECT_EQ(pacing->Decide(view), Decision::kClose);
  view.least = 5;
  EXPECT_EQ(pacing->Decide(view), Decision::kImpossible);
  PlanInput input{.eligible = {"a", "b"}};
  EXPECT_EQ(pacing->Plan(input).sites.size(), 2u);
  input.least = 3;
  EXPECT_TRUE(pacing->Plan(input).sites.empty());
}

TEST(SynchronousPacingTest, NeedsTheQuorumOrEverybodySelected) {
  EXPECT_EQ(Synchronous(File(0, 0))->SitesNeeded(5), 5);
  EXPECT_EQ(Synchronous(File(3, 0))->SitesNeeded(5), 3);
  EXPECT_EQ(Synchronous(File(3, 2))->SitesNeeded(5), 2);
  EXPECT_EQ(Synchronous(File(0, 2))->SitesNeeded(5), 2);
}

TEST(SynchronousPacingTest, PlansTheCampaignsStepsForEverySite) {
  const auto pacing = Synchronous(File(0, 0, 90));
  const RoundPlan plan = pacing->Plan({.round = 1, .eligible = {"a", "b"}, .seed = 1});
  EXPECT_THAT(Sites(plan), ElementsAre("a", "b"));
  EXPECT_EQ(plan.sites[0].steps, 17);
  EXPECT_EQ(plan.sites[0].learning_rate_scale, 1);
  EXPECT_EQ(plan.deadline, std::chrono::seconds(90));
  EXPECT_TRUE(pacing->Plan({.round = 1, .eligible = {}, .seed = 1}).sites.empty());
}

TEST(SynchronousPacingTest, PlansNobodyWhenTheQuorumIsOutOfReach) {
  const auto pacing = Synchronous(File(0, 2));
  EXPECT_TRUE(pacing->Plan({.round = 1, .eligible = {"a"}, .seed = 1}).sites.empty());
  EXPECT_EQ(pacing->Plan({.round = 1, .eligible = {"a", "b"}, .seed = 1}).sites.size(), 2u);
}

TEST(SynchronousPacingTest, SelectsASeededSortedSubset) {
  const auto pacing = Synchronous(File(2, 0));
  const std::vector<std::string> eligible = {"a", "b", "c", "d"};
  std::map<std::string, int> chosen;
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    const auto sites = Sites(pacing->Plan({.round = 1, .eligible = eligible, .seed = seed}));
    ASSERT_EQ(sites.size(), 2u);
    EXPECT_LT(sites[0], sites[1]);
    EXPECT_EQ(Sites(pacing->Plan({.round = 9, .eligible = eligible, .seed = seed})), sites);
    for (const std::string& site : sites) ++chosen[site];
  }
  for (const std::string& site : eligible) {  // 200 expected
    EXPECT_GT(chosen[site], 150) << site;
    EXPECT_LT(chosen[site], 250) << site;
  }
  EXPECT_THAT(Sites(pacing->Plan({.round = 1, .eligible = {"d"}, .seed = 0})), ElementsAre("d"));
}

TEST(MakePacingTest, SuggestsTheNearestKind) {
  CampaignFile file;
  EXPECT_TRUE(MakePacing(file).ok());
  file.pacing.kind = "synchronos";
  EXPECT_EQ(MakePacing(file).status(),
            NotFoundError("pacing.kind: \"synchronos\" is not known; did you mean synchronous?; "
                          "known: synchronous buffered"));
}

}  // namespace
}  // namespace tributary::server

#include "cli/demo_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "core/files.h"
#include "tests/core/environment_variable.h"

namespace tributary::cli {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

TEST(DemoPlanTest, ARelativeDirectoryIsMadeAbsolute) {
  DemoOptions options;
  options.directory = "some/../place";
  options.trainer = {"bin/trainer", "--fast"};
  options.initial = "adapter";
  const auto plan = MakeDemoPlan(options);
  ASSERT_TRUE(plan.ok()) << plan.status();
  const std::string here = std::filesystem::current_path();
  EXPECT_EQ(plan->directory, here + "/place");
  EXPECT_THAT(plan->run, StartsWith(here + "/place/run-"));
  EXPECT_THAT(plan->model_directory, StartsWith(here + "/place/base-v"));
  EXPECT_EQ(plan->sites.front().train, here + "/place/data/chemistry-physics/train.jsonl");
  EXPECT_EQ(plan->sites.front().trainer,
            (std::vector<std::string>{here + "/bin/trainer", "--fast"}));
  EXPECT_EQ(PlainCampaign(*plan).adapter.initial, here + "/adapter");
}

TEST(DemoPlanTest, RunsOfOneSecondHaveDirectoriesOfTheirOwn) {
  const auto scratch = TemporaryDirectory::Create("demo-plan-");
  ASSERT_TRUE(scratch.ok());
  DemoOptions options;
  options.directory = scratch->path();
  std::set<std::string> runs;
  for (int i = 0; i < 5; ++i) {
    const auto plan = MakeDemoPlan(options);
    ASSERT_TRUE(plan.ok()) << plan.status();
    ASSERT_TRUE(MakeDirectories(plan->run).ok());
    EXPECT_TRUE(runs.insert(plan->run).second) << plan->run;
  }
}

TEST(DemoPlanTest, WithoutHomeItAsksForADirectory) {
  const EnvironmentVariable cache("XDG_CACHE_HOME", nullptr);
  {
    const EnvironmentVariable home("HOME", nullptr);
    EXPECT_THAT(MakeDemoPlan({}).status().message(), HasSubstr("--dir"));
  }
  {
    const EnvironmentVariable home("HOME", "relative");
    EXPECT_THAT(MakeDemoPlan({}).status().message(), HasSubstr("--dir"));
  }
  const EnvironmentVariable home("HOME", "/home/somebody");
  EXPECT_EQ(MakeDemoPlan({})->directory, "/home/somebody/.cache/tributary/demo");
  const EnvironmentVariable set("XDG_CACHE_HOME", "/cache");
  EXPECT_EQ(MakeDemoPlan({})->directory, "/cache/tributary/demo");
}

TEST(DemoPlanTest, AGivenModelTrainsLessUnlessToldOtherwise) {
  const auto scratch = TemporaryDirectory::Create("demo-plan-");
  ASSERT_TRUE(scratch.ok());
  DemoOptions options;
  options.directory = "/demo";
  options.model = scratch->path();
  EXPECT_THAT(MakeDemoPlan(options).status().message(), HasSubstr("config.json"));
  ASSERT_TRUE(WriteFileAtomic(JoinPath(scratch->path(), "config.json"), "{}").ok());
  const auto given = MakeDemoPlan(options);
  ASSERT_TRUE(given.ok()) << given.status();
  options.model.clear();
  const auto made_up = MakeDemoPlan(options);
  EXPECT_EQ(given->model_directory, scratch->path());
  EXPECT_LT(given->rounds * given->steps, made_up->rounds * made_up->steps);
  EXPECT_LT(given->learning_rate, made_up->learning_rate);
  options.model = "smollm2";
  options.rounds = 7;
  options.steps = 2;
  options.learning_rate = 0.5;
  const CampaignFile campaign = PlainCampaign(*MakeDemoPlan(options));
  EXPECT_EQ(campaign.pacing.rounds, 7);
  EXPECT_EQ(campaign.training.steps, 2);
  EXPECT_EQ(campaign.training.learning_rate, 0.5);
  EXPECT_EQ(campaign.model.name, "smollm2");
}

TEST(DemoPlanTest, OneCampaignForEachStrategyWithTheRanksOfTheSites) {
  DemoOptions options;
  options.directory = "/demo";
  options.strategies = {"flexlora", "fed-sb"};
  options.ranks = {4, 8, 16};
  const auto plan = MakeDemoPlan(options);
  ASSERT_TRUE(plan.ok()) << plan.status();
  const std::vector<CampaignFile> campaigns = PlannedCampaigns(*plan);
  ASSERT_EQ(campaigns.size(), 2U);
  EXPECT_EQ(campaigns[0].name, "wordnet-demo-flexlora");
  EXPECT_FALSE(campaigns[0].adapter.middle);
  EXPECT_TRUE(campaigns[1].adapter.middle);
  EXPECT_EQ(campaigns[1].adapter.rank, 16);
  EXPECT_EQ(campaigns[1].adapter.site_ranks.size(), 2U);
}

}  // namespace
}  // namespace tributary::cli

#include "core/campaign_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tributary {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kMinimal =
    "name: chem\n"
    "model: {name: base}\n"
    "data: {train: notes}\n"
    "sites: [a, b]\n";

Status Load(const std::string& more, CampaignFile* file) {
  return LoadYaml(kMinimal + more, "c.yaml", file);
}

TEST(CampaignFileTest, AMinimalFileHasUsableDefaults) {
  CampaignFile file;
  const Status status = Load("", &file);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(file.adapter.kind, "lora");
  EXPECT_EQ(file.adapter.rank, 8);
  EXPECT_EQ(file.aggregator.kind, "fedavg");
  EXPECT_EQ(file.aggregator.weights, "samples");
  EXPECT_EQ(file.pacing.kind, "synchronous");
  EXPECT_EQ(file.pacing.quorum, 0);
  EXPECT_EQ(file.pacing.deadline.count(), 0);
  EXPECT_EQ(file.pacing.attempts, 3);
  EXPECT_EQ(file.training.steps, 50);
  EXPECT_EQ(file.evaluation.every, 1);
  EXPECT_EQ(file.walltime.count(), 3600);
}

TEST(CampaignFileTest, ThePrintedFileLoadsAgain) {
  CampaignFile file;
  ASSERT_TRUE(Load("pacing: {rounds: 3, quorum: 1, deadline: 90s}\n"
                   "training: {learning_rate: 0.003, schedule: cosine}\n",
                   &file)
                  .ok());
  CampaignFile again;
  ASSERT_TRUE(LoadYaml(PrintYaml(file), "printed", &again).ok());
  EXPECT_EQ(PrintYaml(again), PrintYaml(file));
  EXPECT_EQ(again.pacing.deadline, std::chrono::seconds(90));
  EXPECT_EQ(again.training.learning_rate, 0.003);
}

TEST(CampaignFileTest, ReportsEveryProblemWithItsLine) {
  CampaignFile file;
  const Status status = LoadYaml(
      "name: Chem Lora\n"
      "model: {name: base}\n"
      "data: {train: notes}\n"
      "sites:\n"
      "  - a\n"
      "  - a\n"
      "  - B\n"
      "adapter: {target_modules: []}\n"
      "pacing: {sites_per_round: 4, quorum: 5}\n"
      "evaluation: {every: 2}\n",
      "c.yaml", &file);
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  for (const char* part :
       {"c.yaml:1: name: \"Chem Lora\" is not a name", "sites: \"a\" appears twice",
        "sites: \"B\" is not a site name", "c.yaml:8: adapter: target_modules is empty",
        "c.yaml:9: pacing: sites_per_round is 4; must be at most the number of sites (3)",
        "c.yaml:9: pacing: quorum is 5; must be at most the sites of a round (4)",
        "c.yaml:10: evaluation: every is set but data.evaluate names no data"}) {
    EXPECT_THAT(status.message(), HasSubstr(part));
  }
  EXPECT_EQ(file.name, "");  // unchanged
}

TEST(CampaignFileTest, RefusesValuesOutOfRange) {
  for (const char* line :
       {"pacing: {rounds: 0}", "pacing: {quorum: -1}", "pacing: {quorum: 3}",
        "pacing: {sites_per_round: 1, quorum: 2}", "pacing: {attempts: 0}",
        "pacing: {deadline: -1s}", "adapter: {rank: 0}", "adapter: {kind: ia3}",
        "aggregator: {weights: loudness}", "training: {steps: 0}",
        "training: {learning_rate: .nan}", "training: {schedule: linear}",
        "training: {base_precision: int4}", "walltime: 0s", "seed: -1", "colour: red"}) {
    CampaignFile file;
    const Status status = Load(line, &file);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << line;
    EXPECT_THAT(status.message(), HasSubstr("c.yaml:5: ")) << line;
  }
}

TEST(CampaignFileTest, RequiresNameModelDataAndSites) {
  CampaignFile file;
  const std::string message = LoadYaml("seed: 1\n", "c.yaml", &file).message();
  for (const char* key : {"name", "model", "data", "sites"}) {
    EXPECT_THAT(message, HasSubstr(key)) << key;
  }
  EXPECT_FALSE(
      LoadYaml("name: a\nmodel: {name: b}\ndata: {train: t}\nsites: []\n", "c", &file).ok());
}

TEST(CampaignFileTest, GivesTheAdaptersConfiguration) {
  CampaignFile file;
  ASSERT_TRUE(
      Load("adapter: {rank: 4, alpha: 12, dropout: 0.1, target_modules: [o_proj]}\n", &file).ok());
  const AdapterConfig config = file.ToAdapterConfig();
  EXPECT_EQ(config.kind, AdapterKind::kLora);
  EXPECT_EQ(config.rank, 4);
  EXPECT_EQ(config.alpha, 12);
  EXPECT_EQ(config.base_model, "base");
  EXPECT_THAT(config.target_modules, ElementsAre("o_proj"));
  ASSERT_TRUE(Load("adapter: {kind: full}\n", &file).ok());
  EXPECT_EQ(file.ToAdapterConfig().kind, AdapterKind::kFull);
}

TEST(CampaignFileTest, GivesTheAdapterPeftsPatterns) {
  CampaignFile file;
  ASSERT_TRUE(Load("adapter: {target_pattern: all-linear, use_rslora: true, rank_pattern: "
                   "{down_proj: 4}, alpha_pattern: {down_proj: 2.5}, modules_to_save: [lm_head]}\n",
                   &file)
                  .ok());
  const AdapterConfig config = file.ToAdapterConfig();
  EXPECT_TRUE(config.target_modules.empty());
  EXPECT_EQ(config.target_pattern, "all-linear");
  EXPECT_TRUE(config.use_rslora);
  EXPECT_EQ(config.rank_pattern, (ModuleValues<std::int64_t>{{"down_proj", 4}}));
  EXPECT_EQ(config.alpha_pattern, (ModuleValues<double>{{"down_proj", 2.5}}));
  EXPECT_THAT(config.modules_to_save, ElementsAre("lm_head"));
}

TEST(CampaignFileTest, RefusesPatternsThatHaveNoMeaning) {
  CampaignFile file;
  EXPECT_THAT(Load("adapter: {kind: full, use_rslora: true}\n", &file).message(),
              HasSubstr("belong to kind lora"));
  EXPECT_THAT(Load("adapter: {kind: full}\ntraining: {base_precision: int8}\n", &file).message(),
              HasSubstr("must be fp32"));
  const Status mixed =
      Load("adapter: {rank_pattern: {q_proj: 2}, site_ranks: {alpha: 4}}\n", &file);
  EXPECT_THAT(mixed.message(), HasSubstr("cannot be combined with rank_pattern"));
}

TEST(PlainNameTest, IsWhatFitsEveryPlaceOfAName) {
  for (const std::string& good :
       {std::string("a"), std::string("0"), std::string("chem-lora-2"), std::string(63, 'x')}) {
    EXPECT_TRUE(IsPlainName(good)) << good;
  }
  for (const std::string& bad :
       {std::string(), std::string("-a"), std::string("A"), std::string("a.b"), std::string("a/b"),
        std::string("a b"), std::string("a\n"), std::string("\xC3\xA9"), std::string(64, 'x')}) {
    EXPECT_FALSE(IsPlainName(bad)) << bad;
  }
}

TEST(CampaignFileTest, TaskIdsCannotLeadOutOfTheWorkspace) {
  EXPECT_TRUE(IsTaskId("chem", "chem.r3.site-1.t1"));
  for (const char* id : {"", "chem", "chem-r1", "bio.r1.a.t1", "chem.r1/../../x", "/etc/passwd",
                         "chem.r1.A.t1", "chem.r1 .t1", "..", "chem.r1\n"}) {
    EXPECT_FALSE(IsTaskId("chem", id)) << id;
  }
  EXPECT_TRUE(IsTaskId("chem@2", "chem@2.r3.site-1.t1"));
  EXPECT_FALSE(IsTaskId("chem", "chem@2.r3.site-1.t1"));
  EXPECT_FALSE(IsTaskId("..", "...."));
  EXPECT_FALSE(IsTaskId("", ".r1"));
  EXPECT_FALSE(IsTaskId("chem", "chem." + std::string(300, 'x')));
}

TEST(CampaignIdTest, IsANameOrTheNthOfThatName) {
  EXPECT_EQ(NthCampaignId("chem", 2), "chem@2");
  for (const char* good : {"chem", "chem@2", "chem@10", "chem@9999"}) {
    EXPECT_TRUE(IsCampaignId(good)) << good;
    EXPECT_EQ(CampaignNameOf(good), "chem");
  }
  for (const char* bad : {"", "@2", "chem@", "chem@1", "chem@02", "chem@10000", "chem@2@3",
                          "chem@x", "chem@2/..", "../chem@2", "chem@-2"}) {
    EXPECT_FALSE(IsCampaignId(bad)) << bad;
  }
}

}  // namespace
}  // namespace tributary

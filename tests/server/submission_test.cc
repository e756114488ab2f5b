#include "server/submission.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/core/test_files.h"
#include "tests/server/engine_harness.h"

namespace tributary::server {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST(CheckCampaignTextTest, AcceptsAGoodFile) {
  const auto file = CheckCampaignText(CampaignYaml({"a", "b"}), "c.yaml");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->pacing.rounds, 2);
}

TEST(CheckCampaignTextTest, ReportsEveryProblemOfTheFile) {
  const Status status =
      CheckCampaignText(CampaignYaml({"a"}, "seed: -1\nqourum: 2\n"), "c.yaml").status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("c.yaml:5: seed"));
  EXPECT_THAT(status.message(), HasSubstr("c.yaml:6: qourum"));
  EXPECT_THAT(CheckCampaignText(CampaignYaml({"a", "a"}), "c.yaml").status().message(),
              HasSubstr("c.yaml:4: sites: \"a\" appears twice"));
}

TEST(CheckCampaignTextTest, RefusesStrategiesThatDoNotExist) {
  const auto check = [](const std::string& more) {
    return CheckCampaignText(CampaignYaml({"a"}, more), "c.yaml").status();
  };
  EXPECT_THAT(
      check("aggregator: {kind: fedvag}\n").message(),
      HasSubstr("c.yaml:5: aggregator.kind: \"fedvag\" is not known; did you mean fedavg?"));
  EXPECT_EQ(check("pacing: {kind: sometimes}\n"),
            InvalidArgumentError(
                "c.yaml:5: pacing.kind: \"sometimes\" is not known; known: synchronous buffered"));
}

// At the line of what is meant, not at the first one of the file.
TEST(CheckCampaignTextTest, NamesTheLineOfEachProblem) {
  const auto check = [](const std::string& more) {
    return CheckCampaignText(CampaignYaml({"a", "b"}, more), "c.yaml").status().message();
  };
  EXPECT_THAT(check("adapter:\n  rank: 4\n  site_ranks:\n    z: 2\n"),
              HasSubstr("c.yaml:7: adapter.site_ranks: \"z\" is not a site of this campaign"));
  EXPECT_THAT(check("adapter:\n  rank: 4\n  site_ranks: {a: 2}\n"),
              HasSubstr("c.yaml:7: adapter.site_ranks: fedavg needs the same rank"));
  EXPECT_THAT(check("training: {base_precision: int8}\nadapter: {kind: full}\n"),
              HasSubstr("c.yaml:5: training.base_precision: "));
  EXPECT_THAT(check("aggregator:\n  weights: custom\n"),
              HasSubstr("c.yaml:5: aggregator.custom_weights: must be given"));
  EXPECT_THAT(check("pacing:\n  rounds: 3\naggregator:\n  kind: krum\n"),
              HasSubstr("c.yaml:5: pacing: a round may close with 2 updates"));
}

TEST(CampaignWarningsTest, AWalltimeCloseToTheWarningIsTold) {
  CampaignFile file;
  EXPECT_TRUE(CampaignWarnings(file).empty());
  file.walltime = std::chrono::seconds(45);
  ASSERT_EQ(CampaignWarnings(file).size(), 1u);
  EXPECT_THAT(CampaignWarnings(file)[0], HasSubstr("walltime: of 45s a job has 15s to start"));
  file.walltime = std::chrono::seconds(30);
  EXPECT_THAT(CampaignWarnings(file)[0], HasSubstr("no time left to write what it has"));
  file.walltime = std::chrono::seconds(120);
  EXPECT_TRUE(CampaignWarnings(file).empty());
}

// The journal of a campaign of earlier rules may leave sites out that no person may any more.
TEST(CheckByTodaysRulesTest, PeopleAreHeldToTodaysRules) {
  const std::vector<std::string> sites = {"a", "b", "d", "e", "f"};
  EngineHarness engine;
  for (const std::string& site : sites) engine.Do(SiteEnrolled{site, "f"});
  engine.Do(CampaignSubmitted{"c", "lena", CampaignYaml(sites, "aggregator: {kind: krum}\n"),
                              DigestOf("v0"), 100, /*rules=*/1});
  for (const std::string& site : sites) engine.Answer(site, true);
  engine.Do(CampaignPaused{"c", "lena"});
  const CampaignResumed without{"c", "lena", {"f"}};
  EXPECT_EQ(engine.Try(without), OkStatus());
  EXPECT_THAT(CheckByTodaysRules(engine.campaign(), without).message(), HasSubstr("needs 5"));
  EXPECT_EQ(CheckByTodaysRules(engine.campaign(), CampaignResumed{"c", "lena"}), OkStatus());
}

TEST(CheckWithoutTest, AStrategyMayNeedTheSitesThatWouldGo) {
  Campaign campaign;
  ASSERT_TRUE(LoadYaml(CampaignYaml({"a", "b", "d", "e", "f"}, "aggregator: {kind: krum}\n"),
                       "c.yaml", &campaign.file)
                  .ok());
  for (const std::string& site : campaign.file.sites) campaign.answers[site] = {};
  EXPECT_EQ(CheckWithout(campaign, {}), OkStatus());
  EXPECT_THAT(CheckWithout(campaign, {"b"}).message(), HasSubstr("without b: pacing: a round may"));
}

TEST(CheckCampaignTextTest, KnowsTheTemplatesOfConversations) {
  CampaignFile known;
  ASSERT_TRUE(LoadYaml(CampaignYaml({"a"}), "c.yaml", &known).ok());
  const auto check = [&](const std::string& name) {
    CampaignFile file = known;
    file.data.chat_template = name;
    return CheckCampaignText(PrintYaml(file), "c.yaml").status();
  };
  EXPECT_TRUE(check("chatml").ok());
  EXPECT_TRUE(check("").ok());
  EXPECT_THAT(check("lama3").message(),
              AllOf(HasSubstr("data.template: \"lama3\" is not known; did you mean llama3?"),
                    HasSubstr("mistral-v3 phi3")));
  // A journal may hold what an earlier release accepted: reading the file does not judge it.
  CampaignFile old = known;
  old.data.chat_template = "lama3";
  EXPECT_TRUE(LoadYaml(PrintYaml(old), "c.yaml", &known).ok());
}

TEST(CheckCampaignTextTest, RefusesWhatAStrategyCannotDoAndSaysWhatCan) {
  const auto check = [](const std::string& more) {
    return CheckCampaignText(CampaignYaml({"a", "b", "c"}, more), "c.yaml").status();
  };
  const std::string mixed = "adapter: {rank: 8, site_ranks: {a: 4}}\n";
  EXPECT_TRUE(check(mixed + "aggregator: {kind: flexlora}\n").ok());
  EXPECT_THAT(check(mixed + "aggregator: {kind: fedavg}\n").message(),
              AllOf(HasSubstr("adapter.site_ranks: fedavg needs the same rank at every site"),
                    HasSubstr("flexlora")));
  EXPECT_TRUE(check("adapter: {rank: 8, site_ranks: {a: 8}}\n").ok());  // no mix
  EXPECT_TRUE(check("adapter: {middle: true}\naggregator: {kind: fed-sb}\n").ok());
  EXPECT_THAT(check("aggregator: {kind: fed-sb}\n").message(), HasSubstr("set middle: true"));
  EXPECT_THAT(check("adapter: {middle: true}\n").message(),
              HasSubstr("adapter.middle: fedavg trains the factors too"));
  EXPECT_TRUE(check("update: {dtype: bf16}\n").ok());
  EXPECT_THAT(check("update: {dtype: int8}\naggregator: {kind: scaffold}\n").message(),
              AllOf(HasSubstr("update.dtype: scaffold needs updates as they are; use f32"),
                    HasSubstr("fedavg")));
  const std::string lossy = mixed + "aggregator: {kind: fed-plora}\n";
  EXPECT_THAT(check(lossy + "update: {dtype: bf16}\n").message(),
              HasSubstr("use error_feedback: false"));
  EXPECT_TRUE(check(lossy + "update: {dtype: bf16, error_feedback: false}\n").ok());
  EXPECT_THAT(check("aggregator: {kind: hetlora, max_update_norm: 5}\n").message(),
              AllOf(HasSubstr("aggregator.max_update_norm: a site that gives ranks up"),
                    HasSubstr("rank_penalty: 0")));
  const std::string fixed =
      "aggregator: {kind: hetlora, max_update_norm: 5, options: {rank_penalty: 0}}\n";
  EXPECT_TRUE(check(fixed).ok());
  EXPECT_THAT(check("aggregator: {kind: hetlora}\nupdate: {dtype: bf16}\n").message(),
              HasSubstr("with aggregator.options.rank_penalty use error_feedback: false"));
  EXPECT_THAT(check("adapter: {kind: full}\naggregator: {kind: flora}\n").message(),
              AllOf(HasSubstr("combines LoRA factors"), HasSubstr("fedavg")));
  const std::string patterns = "adapter: {rank: 8, rank_pattern: {q_proj: 4}}\n";
  EXPECT_TRUE(check(patterns).ok());
  EXPECT_THAT(check("aggregator: {kind: fedex-lora}\n" + patterns).message(),
              AllOf(HasSubstr("one scale for all modules"), HasSubstr("fedavg")));
  EXPECT_THAT(check("aggregator: {kind: krum}\n").message(),
              HasSubstr("a round may close with 3 updates but aggregator krum needs 5"));
  EXPECT_THAT(check("aggregator: {kind: fedadam, options: {beta_1: 0.5}}\n").message(),
              AllOf(HasSubstr("beta_1"), HasSubstr("beta1")));
  EXPECT_THAT(check("aggregator: {kind: fedadam, options: {beta1: 1.5}}\n").message(),
              HasSubstr("1.5"));
}

class CheckInitialAdapterTest : public testing::Test {
 protected:
  Status Check(const std::vector<NamedFloats>& tensors) { return Check(ToHostTensors(tensors)); }
  Status Check(const std::vector<HostTensor>& tensors) {
    const auto written = WriteSafetensors(directory_ / "file", tensors);
    EXPECT_TRUE(blobs_.Adopt(directory_ / "file", written->digest).ok());
    return CheckInitialAdapter(blobs_, written->digest, file_);
  }

  const TestDirectory directory_;
  CampaignFile file_;
  BlobStore blobs_ = std::move(BlobStore::Open(directory_.path())).value();
};

TEST_F(CheckInitialAdapterTest, AcceptsFiniteFloats) {
  EXPECT_TRUE(Check({NamedFloats{"a", {1, 2}}}).ok());
}

TEST_F(CheckInitialAdapterTest, RefusesWhatCannotBeTrained) {
  EXPECT_EQ(CheckInitialAdapter(blobs_, DigestOf("absent"), file_).code(),
            StatusCode::kFailedPrecondition);
  EXPECT_THAT(Check(std::vector<NamedFloats>()).message(), HasSubstr("no tensors"));
  EXPECT_THAT(Check({NamedFloats{"a", {1, std::nanf("")}}}).message(),
              HasSubstr("tensor a holds a value that is not finite"));
  EXPECT_THAT(Check({HostTensor{{"a", DType::kBf16, {1}}, std::vector<std::byte>(2)}}).message(),
              HasSubstr("BF16; must be F32"));
  EXPECT_THAT(Check({NamedFloats{"m.lora_A.weight", {1, 2}}}).message(),
              HasSubstr("initial adapter: tensor m.lora_A.weight [2] is no factor of a LoRA pair"));
}

TEST_F(CheckInitialAdapterTest, RefusesAnAdapterOfWhichTheStrategyTrainsNothing) {
  const std::vector<NamedFloats> pair = {{"m.lora_A.weight", {1, 2}, {1, 2}},
                                         {"m.lora_B.weight", {0, 0}, {2, 1}}};
  EXPECT_TRUE(Check(pair).ok());
  file_.aggregator.kind = "fed-sb";
  EXPECT_THAT(Check(pair).message(), HasSubstr("lora_C"));
  std::vector<NamedFloats> middle = pair;
  middle.push_back({"m.lora_C.weight", {0}, {1, 1}});
  EXPECT_TRUE(Check(middle).ok());
}

TEST_F(CheckInitialAdapterTest, MiddleMatricesNeedFactorsThatAreNotZero) {
  file_.aggregator.kind = "fed-sb";
  file_.adapter.middle = true;
  std::vector<NamedFloats> tensors = {{"head.weight", {1}},
                                      {"m.lora_A.weight", {1, 2}, {1, 2}},
                                      {"m.lora_B.weight", {0, 0}, {2, 1}}};
  EXPECT_THAT(Check(tensors).message(), HasSubstr("there is no tensor m.lora_C.weight"));
  tensors.push_back({"m.lora_C.weight", {0}, {1, 1}});
  EXPECT_THAT(Check(tensors).message(), HasSubstr("m.lora_B.weight is all zeros"));
  tensors[2].values = {0, 1};
  EXPECT_TRUE(Check(tensors).ok());
}

TEST_F(CheckInitialAdapterTest, RefusesAFileThatIsNoSafetensors) {
  ASSERT_TRUE(WriteFileAtomic(directory_ / "file", "hello").ok());
  ASSERT_TRUE(blobs_.Adopt(directory_ / "file", Sha256Of("hello")).ok());
  EXPECT_THAT(CheckInitialAdapter(blobs_, Sha256Of("hello"), file_).message(),
              HasSubstr("malformed"));
}

}  // namespace
}  // namespace tributary::server

// The user's command as a user runs it: exit codes, messages, JSON; and what pausing, resuming and
// cancelling do to jobs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/json.h"
#include "core/peft_adapter.h"
#include "core/safetensors.h"
#include "tests/integration/federation_harness.h"

namespace tributary::integration {
namespace {

using testing::HasSubstr;
using testing::Not;

struct Outcome {
  int code = -1;
  std::string output;
};

class CommandLineTest : public testing::Test {
 protected:
  void SetUp() override {
    auto started = FederationHarness::Start(2);
    ASSERT_TRUE(started.ok()) << started.status();
    harness_ = *std::move(started);
  }

  Outcome Tributary(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(),
                     {TRIBUTARY_BIN_DIR "/tributary", "--profile", harness_->lead().profile});
    const std::string log = harness_->directory() + "/out-" + std::to_string(++runs_);
    auto process = ChildProcess::Start(arguments, log);
    EXPECT_TRUE(process.ok());
    EXPECT_TRUE(WaitFor([&] { return process->Poll().has_value(); }));
    const auto output = ReadFile(log);
    return {process->Poll().value_or(-1), output.ok() ? *output : ""};
  }

  nlohmann::json Json(const Outcome& outcome) {
    auto parsed = ParseJson(outcome.output, "output");
    EXPECT_TRUE(parsed.ok()) << parsed.status() << outcome.output;
    return parsed.ok() ? *parsed : nlohmann::json();
  }

  std::string WriteCampaign(const std::string& name, int rounds) {
    const std::string path = harness_->directory() + "/" + name + ".yaml";
    EXPECT_TRUE(WriteFileAtomic(path, PrintYaml(harness_->Campaign(name, rounds))).ok());
    return path;
  }

  std::unique_ptr<FederationHarness> harness_;
  int runs_ = 0;
};

TEST_F(CommandLineTest, RunsACampaignFromValidationToExport) {
  const std::string file = WriteCampaign("allowed", 2);
  const Outcome valid = Tributary({"validate", file});
  EXPECT_EQ(valid.code, 0) << valid.output;
  EXPECT_THAT(valid.output, HasSubstr("quorum:"));
  EXPECT_EQ(Json(Tributary({"submit", file, "--json"}))["campaign"], "allowed");
  const Outcome again = Tributary({"submit", file});
  EXPECT_EQ(again.code, 6) << again.output;

  const Outcome watched = Tributary({"watch", "allowed"});
  EXPECT_EQ(watched.code, 0) << watched.output;
  EXPECT_THAT(watched.output, HasSubstr("round 2"));
  EXPECT_THAT(watched.output, HasSubstr("campaign allowed: completed"));

  const auto shown = Json(Tributary({"show", "allowed", "--json"}));
  EXPECT_EQ(shown["phase"], "completed");
  EXPECT_EQ(shown["version"], 2);
  EXPECT_EQ(shown["round_history"][1]["contributions"].size(), 2U);
  const std::string second = Tributary({"show", "allowed", "--rounds", "2"}).output;
  EXPECT_THAT(second, HasSubstr("round 2 "));
  EXPECT_THAT(second, Not(HasSubstr("round 1  ")));
  EXPECT_THAT(second, HasSubstr("round 1 is not shown; --rounds says which are"));
  EXPECT_EQ(
      Json(Tributary({"--json", "show", "allowed", "--rounds", "..2"}))["round_history"].size(),
      2U);
  for (const char* wrong : {"two", "0", "3..2", "..", "-1", "1..x"}) {
    const Outcome refused = Tributary({"show", "allowed", "--rounds=" + std::string(wrong)});
    EXPECT_EQ(refused.code, 2) << wrong;
    EXPECT_THAT(refused.output, HasSubstr("must be a round or a range of them")) << wrong;
  }
  EXPECT_EQ(Json(Tributary({"--json", "list"}))["campaigns"].size(), 1U);
  EXPECT_EQ(Json(Tributary({"--json", "sites"}))["sites"][0]["connected"], true);

  const std::string to = harness_->directory() + "/exported";
  EXPECT_EQ(Tributary({"export", "allowed", "--to", to}).code, 0);
  const auto adapter = SafetensorsFile::Open(JoinPath(to, kAdapterWeightsFile));
  ASSERT_TRUE(adapter.ok()) << adapter.status();
  EXPECT_EQ(adapter->ToManifest().size(), 2U);
  const auto config = ReadFile(JoinPath(to, kAdapterConfigFile));
  ASSERT_TRUE(config.ok());
  EXPECT_EQ(Json({0, *config})["peft_type"], "LORA");
  EXPECT_EQ(Tributary({"export", "allowed", "--to", to, "--version-number", "7"}).code, 3);
  // Neither an earlier export nor a model is written over.
  const Outcome twice = Tributary({"export", "allowed", "--to", to});
  EXPECT_EQ(twice.code, 6);
  EXPECT_THAT(twice.output, HasSubstr("is there already; name another directory"));
  EXPECT_EQ(Tributary({"export", "allowed", "--to", to, "--overwrite"}).code, 0);
  ASSERT_TRUE(WriteFileAtomic(JoinPath(to, "config.json"), "{}").ok());
  const Outcome model = Tributary({"export", "allowed", "--to", to, "--overwrite"});
  EXPECT_EQ(model.code, 6);
  EXPECT_THAT(model.output, HasSubstr("this is the directory of a model"));
  EXPECT_EQ(Tributary({"audit", "allowed"}).code, 0);
}

// Neither makes a person wait for ever, nor costs the export that is there.
TEST_F(CommandLineTest, AVersionThatIsGoneCannotBeExported) {
  ASSERT_EQ(Tributary({"submit", WriteCampaign("allowed", 3)}).code, 0);
  ASSERT_TRUE(harness_->AwaitEnd("allowed").ok());
  const std::string to = harness_->directory() + "/exported";
  const auto exported = [&](const std::string& version) {
    return Tributary({"export", "allowed", "--to", to, "--overwrite", "--version-number", version});
  };
  EXPECT_EQ(exported("1").code, 0);
  const std::string weights = *ReadFile(JoinPath(to, kAdapterWeightsFile));
  harness_->StopServer();
  const std::string config = harness_->directory() + "/server/server.yaml";
  ASSERT_TRUE(WriteFileAtomic(config, *ReadFile(config) + "keep_versions: 1\n").ok());
  ASSERT_EQ(harness_->StartServer(), OkStatus());  // which removes versions 1 and 2
  const Outcome removed = exported("1");
  EXPECT_EQ(removed.code, 3) << removed.output;
  EXPECT_THAT(removed.output, HasSubstr("version 1 was removed"));
  EXPECT_THAT(Tributary({"show", "allowed"}).output, HasSubstr("2 of versions 1 to 2"));
  const auto newest = Digest::FromHex(harness_->Show("allowed")->version_digest());
  const std::string hex = newest->ToHex();
  ASSERT_TRUE(
      RemoveFile(harness_->directory() + "/server/data/blobs/" + hex.substr(0, 2) + "/" + hex)
          .ok());
  EXPECT_EQ(exported("3").code, 3);
  EXPECT_THAT(Tributary({"show", "allowed"}).output, HasSubstr("version 3 cannot be used"));
  EXPECT_EQ(*ReadFile(JoinPath(to, kAdapterWeightsFile)), weights);
  EXPECT_TRUE(PathExists(JoinPath(to, kAdapterConfigFile)));
}

TEST_F(CommandLineTest, ReportsMistakesWithStableExitCodes) {
  EXPECT_EQ(Tributary({"frobnicate"}).code, 2);
  EXPECT_EQ(Tributary({"show"}).code, 2);
  const Outcome unknown = Tributary({"show", "nobody"});
  EXPECT_EQ(unknown.code, 3);
  EXPECT_THAT(unknown.output, HasSubstr("campaign \"nobody\" is not known"));
  EXPECT_EQ(Tributary({"audit", "nobody"}).code, 3);
  EXPECT_EQ(Tributary({"export", "nobody", "--to", "x", "--version-number", "-1"}).code, 2);
  EXPECT_EQ(Json(Tributary({"show", "--json"}))["error"]["code"], "invalid argument");
  EXPECT_EQ(Json(Tributary({"--json", "frobnicate"}))["error"]["code"], "invalid argument");

  const std::string file = harness_->directory() + "/bad.yaml";
  ASSERT_TRUE(WriteFileAtomic(file,
                              "name: allowed\nmodel: {name: none}\ndata: {train: none}\n"
                              "sites: [site-0]\npacing:\n  rouds: 3\n  rounds: 0\n")
                  .ok());
  const Outcome bad = Tributary({"submit", file});
  EXPECT_EQ(bad.code, 2);
  EXPECT_THAT(bad.output, HasSubstr(file + ":6: "));
  EXPECT_THAT(bad.output, HasSubstr("rounds"));  // the suggestion
  EXPECT_THAT(bad.output, HasSubstr(file + ":7: pacing.rounds: 0 is out of range"));
  const Outcome invalid = Tributary({"validate", file});
  EXPECT_EQ(invalid.output, bad.output) << "the same words";

  // What can be said without a server.
  const std::string good = WriteCampaign("allowed", 1);

  const auto error = Json(Tributary({"--json", "show", "nobody"}));
  EXPECT_EQ(error["error"]["code"], "not found");
  EXPECT_EQ(harness_->StopServer(), 0);
  EXPECT_EQ(Tributary({"list"}).code, 5);
  const Outcome alone = Tributary({"validate", good});
  EXPECT_EQ(alone.code, 0) << alone.output;
  EXPECT_THAT(alone.output, HasSubstr("no server was asked"));
  EXPECT_EQ(Json(Tributary({"validate", good, "--json"}))["asked_server"], false);
  EXPECT_EQ(Tributary({"validate", file}).output, bad.output);
}

TEST_F(CommandLineTest, PausedCampaignOpensNoRoundUntilItIsResumed) {
  harness_->CloseGate("site-0");
  ASSERT_EQ(Tributary({"submit", WriteCampaign("allowed", 2)}).code, 0);
  ASSERT_TRUE(WaitFor([&] { return harness_->JobStarts("site-0") == 1; }));
  EXPECT_EQ(Tributary({"watch", "allowed", "--timeout", "1s"}).code, 8);
  EXPECT_EQ(Tributary({"pause", "allowed"}).code, 0);
  EXPECT_EQ(Tributary({"pause", "allowed"}).code, 6);
  EXPECT_EQ(Tributary({"watch", "allowed", "--timeout", "1s"}).code, 9);
  EXPECT_EQ(Tributary({"watch", "allowed", "--until-paused"}).code, 9);
  EXPECT_EQ(Tributary({"watch", "allowed", "--timeout", "soon"}).code, 2);
  harness_->OpenGate("site-0");
  // The round that is under way still becomes a version.
  EXPECT_TRUE(WaitFor([&] { return harness_->Show("allowed")->version() == 1; }));
  EXPECT_EQ(harness_->Show("allowed")->round(), 1);
  EXPECT_EQ(Tributary({"resume", "allowed"}).code, 0);
  const auto end = harness_->AwaitEnd("allowed");
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_EQ(end->phase(), "completed");
}

// One of two sites is away: without a way out the lead could only cancel.
TEST_F(CommandLineTest, ACampaignStartsWithoutASiteThatIsAway) {
  harness_->KillClient("site-1");
  ASSERT_EQ(Tributary({"submit", WriteCampaign("allowed", 3)}).code, 0);
  ASSERT_TRUE(WaitFor([&] {
    const std::string shown = Tributary({"show", "allowed"}).output;
    return shown.find("site-1 waiting, away") != std::string::npos &&
           shown.find("\n  site-0 ") == std::string::npos;
  }));
  const Outcome early = Tributary({"start", "allowed"});
  EXPECT_EQ(early.code, 6);
  EXPECT_THAT(early.output, HasSubstr("1 of 2 sites accepted; campaign allowed needs 2"));
  EXPECT_EQ(Tributary({"change", "allowed", "--rounds", "4"}).code, 2);
  EXPECT_EQ(Tributary({"change", "allowed", "--rounds", "1", "--deadline", "1h"}).code, 0);
  EXPECT_EQ(Tributary({"pause", "allowed"}).code, 0);
  EXPECT_THAT(Tributary({"drop", "allowed", "site-1"}).output,
              HasSubstr("campaign allowed goes on without site-1 when it is resumed"));
  EXPECT_THAT(Tributary({"start", "allowed"}).output,
              HasSubstr("starts with the sites that accepted when it is resumed"));
  EXPECT_THAT(Tributary({"resume", "allowed"}).output, HasSubstr("campaign allowed resumed"));
  const auto end = harness_->AwaitEnd("allowed");
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_EQ(end->phase(), "completed");
  EXPECT_EQ(end->version(), 1);
  EXPECT_EQ(Tributary({"submit", WriteCampaign("allowed", 1)}).code, 6) << "completed, and kept";
}

TEST_F(CommandLineTest, ACancelledCampaignLeavesItsNameToTheNext) {
  harness_->CloseGate("site-0");
  const std::string file = WriteCampaign("allowed", 1);
  ASSERT_EQ(Tributary({"submit", file}).code, 0);
  ASSERT_EQ(Tributary({"cancel", "allowed"}).code, 0);
  harness_->OpenGate("site-0");
  const Outcome again = Tributary({"submit", file});
  EXPECT_EQ(again.code, 0) << again.output;
  EXPECT_THAT(again.output, HasSubstr("tributary watch allowed@2"));
  // The sites' policies name the campaign: that is enough.
  const Outcome watched = Tributary({"watch", "allowed@2"});
  EXPECT_EQ(watched.code, 0) << watched.output;
}

TEST_F(CommandLineTest, CancelledCampaignEndsItsJobsAndLeavesNothingAtTheSite) {
  harness_->CloseGate("site-1");
  ASSERT_EQ(Tributary({"submit", WriteCampaign("allowed", 2)}).code, 0);
  ASSERT_TRUE(WaitFor([&] { return harness_->JobStarts("site-1") == 1; }));
  EXPECT_EQ(Tributary({"cancel", "allowed"}).code, 0);
  EXPECT_EQ(Tributary({"watch", "allowed"}).code, 7);
  EXPECT_TRUE(WaitFor([&] { return !PathExists(harness_->SiteHome("site-1") + "/work/allowed"); }));
}

}  // namespace
}  // namespace tributary::integration

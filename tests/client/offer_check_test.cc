#include "client/offer_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/files.h"
#include "core/model_shape.h"
#include "core/peft_adapter.h"

namespace tributary::client {
namespace {

using std::chrono::seconds;
using testing::AllOf;
using testing::HasSubstr;

constexpr const char* kConfig = R"({"model_type": "llama", "vocab_size": 32, "hidden_size": 8,
  "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2})";

class OfferCheckTest : public testing::Test {
 protected:
  OfferCheckTest() {
    config_.policy.emplace();
    config_.policy->models["base"] = Path("model");
    config_.policy->data = {{"train", Path("train.jsonl")}, {"test", Path("test.jsonl")}};
    Write("model/config.json", kConfig);
    Write("train.jsonl", "");
    Write("test.jsonl", "");
    offer_.set_campaign("chem");
    offer_.set_model("base");
    offer_.set_train_data("train");
    offer_.add_evaluation_data("test");
    offer_.set_max_walltime_seconds(3600);
    offer_.set_adapter_config_json(AdapterConfig().ToPeftJson());
  }

  std::string Path(const std::string& name) const { return directory_.path() + "/" + name; }
  void Write(const std::string& name, const std::string& text, mode_t mode = 0600) const {
    ASSERT_TRUE(MakeDirectories(DirectoryOf(Path(name))).ok());
    ASSERT_TRUE(WriteFileAtomic(Path(name), text, mode).ok());
  }
  void SetTrainer(const std::string& script) {
    Write("trainer", script, 0700);
    config_.job.trainer = {Path("trainer")};
  }
  void OfferManifestOf(const std::string& model_config) {
    const auto manifest =
        AdapterManifest(AdapterConfig(), *ModelShape::FromConfigJson(model_config));
    ASSERT_TRUE(manifest.ok()) << manifest.status();
    for (const TensorSpec& spec : *manifest) {
      v1::TensorInfo* tensor = offer_.add_manifest();
      tensor->set_name(spec.name);
      tensor->set_dtype("F32");
      for (const std::int64_t extent : spec.shape) tensor->add_shape(extent);
    }
  }
  Status Check() { return CheckFeasible(config_, *ledger_, offer_); }

  TemporaryDirectory directory_ = *TemporaryDirectory::Create("offer-test-");
  std::unique_ptr<SiteLedger> ledger_ = *SiteLedger::Open(Path("ledger.db"));
  ClientConfig config_;
  v1::CampaignOffer offer_;
};

TEST_F(OfferCheckTest, WhatCanRunIsTaken) {
  OfferManifestOf(kConfig);
  EXPECT_TRUE(Check().ok()) << Check();
  Write("model/config.json", R"({"model_type": "of another trainer"})");
  EXPECT_TRUE(Check().ok()) << Check();
}

TEST_F(OfferCheckTest, EveryMissingFileIsNamed) {
  ASSERT_TRUE(RemoveTree(Path("model")).ok());
  ASSERT_TRUE(RemoveFile(Path("test.jsonl")).ok());
  const Status status = Check();
  EXPECT_EQ(status.code(), StatusCode::kPermissionDenied);
  EXPECT_THAT(status.message(), AllOf(HasSubstr("model base of this site is not there"),
                                      HasSubstr("data test of this site is not there")));
  EXPECT_EQ(status.message().find(directory_.path()), std::string::npos);  // of no one's business
}

TEST_F(OfferCheckTest, AnotherModelUnderTheSameNameIsRefused) {
  OfferManifestOf(R"({"model_type": "llama", "vocab_size": 32, "hidden_size": 16,
      "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2})");
  EXPECT_EQ(Check().code(), StatusCode::kPermissionDenied);
  EXPECT_THAT(Check().message(), HasSubstr("does not fit the campaign's adapter"));
}

TEST_F(OfferCheckTest, AnAllocationThatHoldsNoJobOfItsSizeRefuses) {
  config_.allocation.per_campaign = 0.5;  // of node-hours; a job may take one
  EXPECT_EQ(Check().code(), StatusCode::kPermissionDenied);
  EXPECT_THAT(Check().message(), HasSubstr("allocation"));
  config_.allocation.per_campaign = 1.5;
  EXPECT_TRUE(Check().ok()) << Check();
  JobEntry other;
  other.name = "other";
  other.campaign = "chem";
  other.nodes = 1;
  other.walltime = seconds(3600);
  ASSERT_TRUE(ledger_->Put(other).ok());  // may cost less than its walltime
  EXPECT_TRUE(Check().ok()) << Check();
  other.ended = Timestamp(seconds(1));
  other.charged = seconds(3600);
  ASSERT_TRUE(ledger_->Put(other).ok());
  EXPECT_EQ(Check().code(), StatusCode::kPermissionDenied);
}

TEST_F(OfferCheckTest, WhatTheTrainerCannotDoIsRefused) {
  offer_.add_needs("frozen");
  offer_.add_needs("merged");
  SetTrainer("#!/bin/bash\necho '{\"abilities\": [\"frozen\"], \"checks\": []}'\n");
  const Status status = AskTrainer(config_, offer_, seconds(20));
  EXPECT_EQ(status.code(), StatusCode::kPermissionDenied);
  EXPECT_THAT(status.message(), HasSubstr("cannot do merged"));
  SetTrainer("#!/bin/bash\necho '{\"abilities\": [\"frozen\", \"merged\"], \"checks\": []}'\n");
  EXPECT_TRUE(AskTrainer(config_, offer_, seconds(20)).ok());
}

TEST_F(OfferCheckTest, WhatTheTrainerRefusesIsRefusedWithItsWords) {
  SetTrainer(
      "#!/bin/bash\ntest -e \"$6/adapter_config.json\" || exit 3\n"
      "echo '{\"checks\": [{\"what\": \"model\", \"path\": \"/m\", \"outcome\": \"failed\", "
      "\"found\": \"" +
      Path("model") + ": gemma is not supported\"}]}'\nexit 1\n");
  EXPECT_THAT(AskTrainer(config_, offer_, seconds(20)).message(),
              HasSubstr("refuses the model: model base: gemma is not supported"));
}

TEST_F(OfferCheckTest, ATrainerThatDoesNotAnswerSaysNothing) {
  offer_.add_needs("merged");
  SetTrainer("#!/bin/bash\necho unknown command >&2\nexit 2\n");
  EXPECT_TRUE(AskTrainer(config_, offer_, seconds(20)).ok());
  SetTrainer("#!/bin/bash\nsleep 30\n");
  EXPECT_TRUE(AskTrainer(config_, offer_, seconds(1)).ok());
}

}  // namespace
}  // namespace tributary::client

#include "cli/initial_adapter_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/core/test_files.h"

namespace tributary::cli {
namespace {

using testing::HasSubstr;

class InitialAdapterConfigTest : public testing::Test {
 protected:
  InitialAdapterConfigTest() {
    shape_.vocab_size = 16;
    shape_.hidden_size = 8;
    shape_.intermediate_size = 12;
    shape_.layers = 2;
    shape_.heads = shape_.kv_heads = 2;
    shape_.head_dim = 4;
    campaign_.rank = 2;
    campaign_.alpha = 4;
  }
  Status Check(const AdapterConfig& given, bool with_model = true) {
    const std::string path = directory_ / "adapter_config.json";
    EXPECT_TRUE(WriteFileAtomic(path, given.ToPeftJson()).ok());
    return CheckInitialConfig(path, campaign_, with_model ? &shape_ : nullptr);
  }

  TestDirectory directory_;
  ModelShape shape_;
  AdapterConfig campaign_;
};

TEST_F(InitialAdapterConfigTest, AcceptsWhatIsTheSame) {
  for (const bool with_model : {true, false}) {
    EXPECT_EQ(Check(campaign_, with_model), OkStatus());
    AdapterConfig given = campaign_;
    given.target_modules = {"v_proj", "q_proj"};
    given.dropout = 0.5;
    EXPECT_EQ(Check(given, with_model), OkStatus());
  }
  EXPECT_EQ(CheckInitialConfig(directory_ / "none.json", campaign_, &shape_), OkStatus());
}

TEST_F(InitialAdapterConfigTest, OtherWordsForTheSameFunctionAreFine) {
  AdapterConfig given = campaign_;
  given.target_modules.clear();
  given.target_pattern = ".*(q|v)_proj";
  given.use_rslora = true;
  given.alpha = 2 * std::sqrt(2.0);
  EXPECT_EQ(Check(given), OkStatus());
}

TEST_F(InitialAdapterConfigTest, RefusesAnotherScale) {
  campaign_.alpha = 16;
  AdapterConfig given = campaign_;
  given.alpha = 4;
  for (const bool with_model : {true, false}) {
    const Status status = Check(given, with_model);
    EXPECT_THAT(status.message(), HasSubstr("rank 2 and scale 2, the campaign rank 2 and scale 8"));
    EXPECT_THAT(status.message(), HasSubstr("say under adapter:"));
  }
  given = campaign_;
  given.use_rslora = true;
  EXPECT_FALSE(Check(given).ok());
  EXPECT_FALSE(Check(given, false).ok());
}

TEST_F(InitialAdapterConfigTest, RefusesPatternsTargetsAndModulesOfItsOwn) {
  AdapterConfig patterns = campaign_;
  patterns.alpha_pattern = {{"layers.1.self_attn.q_proj", 9}};
  AdapterConfig ranks = campaign_;
  ranks.rank_pattern = {{"v_proj", 1}};
  AdapterConfig fewer = campaign_;
  fewer.target_modules = {"q_proj"};
  AdapterConfig more = campaign_;
  more.target_modules = {"q_proj", "v_proj", "o_proj"};
  AdapterConfig saved = campaign_;
  saved.modules_to_save = {"lm_head"};
  AdapterConfig middle = campaign_;
  middle.middle = true;
  AdapterConfig full = campaign_;
  full.kind = AdapterKind::kFull;
  for (const AdapterConfig& given : {patterns, ranks, fewer, more, saved, middle, full}) {
    EXPECT_FALSE(Check(given).ok()) << given.ToPeftJson();
    EXPECT_FALSE(Check(given, false).ok()) << given.ToPeftJson();
  }
}

TEST_F(InitialAdapterConfigTest, RefusesWhatIsNoPlainLora) {
  const std::string path = directory_ / "adapter_config.json";
  ASSERT_TRUE(WriteFileAtomic(path, R"({"peft_type": "LORA", "r": 2, "lora_alpha": 4,
      "target_modules": ["q_proj", "v_proj"], "use_dora": true})")
                  .ok());
  EXPECT_THAT(CheckInitialConfig(path, campaign_, nullptr).message(), HasSubstr("use_dora"));
}

}  // namespace
}  // namespace tributary::cli

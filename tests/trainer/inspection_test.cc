#include "trainer/inspection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "core/files.h"
#include "core/json.h"
#include "core/peft_adapter.h"
#include "tests/trainer/tiny_model.h"

namespace tributary::trainer {
namespace {

using testing::HasSubstr;
using Outcome = Finding::Outcome;

class InspectionTest : public testing::Test {
 protected:
  InspectionTest() {
    WriteTinyTask(directory_.path(), TinyTrainTask(directory_.path()));
    options_.model = Path("model");
    options_.data = {Path("train.jsonl")};
  }
  std::string Path(std::string_view name) const { return JoinPath(directory_.path(), name); }
  void Write(std::string_view name, const std::string& text) const {
    ASSERT_TRUE(WriteFileAtomic(Path(name), text).ok());
  }
  void SetConfig(const std::string& key, const nlohmann::json& value) const {
    auto config = ReadJsonFile(Path("model/config.json"));
    ASSERT_TRUE(config.ok());
    (*config)[key] = value;
    Write("model/config.json", config->dump());
  }
  Finding Find(const std::string& what) const {
    for (Finding& finding : Inspect(options_)) {
      if (finding.what == what) return std::move(finding);
    }
    ADD_FAILURE() << "nothing about " << what;
    return {};
  }

  TemporaryDirectory directory_ = std::move(TemporaryDirectory::Create("inspection-test")).value();
  InspectOptions options_;
};

TEST_F(InspectionTest, FindsNothingWrongWithWhatTrains) {
  options_.adapter = Path("global");
  for (const char* what : {"model", "tokenizer", "adapter", "data"}) {
    EXPECT_EQ(Find(what).outcome, Outcome::kOk) << what << ": " << Find(what).found;
  }
  ASSERT_TRUE(RemoveFile(Path("global/adapter_model.safetensors")).ok());  // as of an offer
  EXPECT_EQ(Find("adapter").outcome, Outcome::kOk);
}

TEST_F(InspectionTest, ModelsThatTheTrainerRefusesAreSaid) {
  SetConfig("model_type", "gemma");
  EXPECT_EQ(Find("model").outcome, Outcome::kFailed);
  EXPECT_THAT(Find("model").found, HasSubstr("gemma"));
  SetConfig("model_type", "llama");
  SetConfig("rope_scaling", {{"rope_type", "yarn"}, {"factor", 4.0}});
  EXPECT_THAT(Find("model").found, HasSubstr("yarn"));
  SetConfig("rope_scaling", nullptr);
  SetConfig("quantization_config", {{"quant_method", "gptq"}, {"bits", 4}});
  EXPECT_EQ(Find("model").outcome, Outcome::kFailed);
  SetConfig("quantization_config", nullptr);
  SetConfig("hidden_size", 1024);  // the weights are not of this shape
  EXPECT_EQ(Find("model").outcome, Outcome::kFailed);
}

TEST_F(InspectionTest, MissingFilesAreSaid) {
  ASSERT_TRUE(RemoveFile(Path("model/tokenizer.json")).ok());
  EXPECT_THAT(Find("tokenizer").found, HasSubstr("has no tokenizer"));
  ASSERT_EQ(rename(Path("model/model.safetensors").c_str(),
                   Path("model/consolidated.safetensors").c_str()),
            0);
  EXPECT_THAT(Find("model").found, HasSubstr("has neither model.safetensors"));
  options_.adapter = Path("nowhere");
  EXPECT_EQ(Find("adapter").outcome, Outcome::kFailed);
}

TEST_F(InspectionTest, AnAdapterThatFitsNoModuleIsSaid) {
  AdapterConfig adapter;
  adapter.target_modules = {"c_attn"};
  Write("global/adapter_config.json", adapter.ToPeftJson());
  options_.adapter = Path("global");
  EXPECT_THAT(Find("adapter").found, HasSubstr("c_attn"));
}

TEST_F(InspectionTest, DataAreReadToTheirEndWithNumbersOfLines) {
  std::string lines;
  for (int i = 0; i < 200'000; ++i) lines += "{\"text\": \"line of a long file\"}\n";  // 6 MB
  Write("train.jsonl", lines);
  EXPECT_EQ(Find("data").outcome, Outcome::kOk);
  EXPECT_THAT(Find("data").found, HasSubstr("200000 examples"));
  Write("train.jsonl", lines + "{\"text\": \n");
  EXPECT_EQ(Find("data").outcome, Outcome::kWarning);
  EXPECT_THAT(Find("data").found, HasSubstr("train.jsonl:200001"));
  Write("train.jsonl", "[{\"text\": \"a\"}]");
  EXPECT_EQ(Find("data").outcome, Outcome::kFailed);
  EXPECT_THAT(Find("data").found, HasSubstr("one JSON array"));
  Write("train.jsonl", "");
  EXPECT_EQ(Find("data").outcome, Outcome::kFailed);
}

TEST_F(InspectionTest, WhatIsNotReadIsSaid) {
  std::string lines;
  for (int i = 0; i < 400'000; ++i) lines += "{\"text\": \"line of a long file\"}\n";
  Write("train.jsonl", lines);
  options_.patience = std::chrono::milliseconds(0);
  EXPECT_THAT(Find("data").found, HasSubstr("the rest is not read"));
}

TEST_F(InspectionTest, TheAnswerInJsonNamesWhatTheTrainerCanDo) {
  options_.json = true;
  std::ostringstream out;
  EXPECT_TRUE(RunInspect(options_, out));
  const auto answer = ParseJson(out.str(), "answer");
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_THAT((*answer)["abilities"].get<std::vector<std::string>>(), testing::Contains("merged"));
  EXPECT_EQ((*answer)["checks"][0]["what"], "model");
  SetConfig("model_type", "gemma");
  EXPECT_FALSE(RunInspect(options_, out));
}

}  // namespace
}  // namespace tributary::trainer

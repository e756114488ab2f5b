#include "trainer/pretraining.h"

#include <ATen/ATen.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>

#include <nlohmann/json.hpp>

#include "core/files.h"
#include "trainer/model_directory.h"

namespace tributary::trainer {
namespace {

using nlohmann::json;
using testing::HasSubstr;

json SmallFile() {
  return {{"model",
           {{"hidden_size", 16},
            {"layers", 1},
            {"heads", 2},
            {"kv_heads", 1},
            {"intermediate_size", 24},
            {"vocab_size", 270}}},
          {"training",
           {{"steps", 20}, {"batch_size", 4}, {"sequence_length", 32}, {"learning_rate", 0.02}}},
          {"seed", 5},
          {"data", {"text.jsonl"}},
          {"output_path", "model"}};
}

class PretrainingTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string text;
    for (int i = 0; i < 8; ++i) {
      text +=
          json{{"prompt", "Say " + std::to_string(i)}, {"completion", "the same thing"}}.dump() +
          "\n";
    }
    ASSERT_TRUE(WriteFileAtomic(JoinPath(directory_.path(), "text.jsonl"), text).ok());
  }
  Result<TrainingOutcome> Run(const json& object, int stop_after = 1000) {
    auto file = PretrainFile::FromJson(object.dump());
    EXPECT_TRUE(file.ok()) << file.status();
    int steps = 0;
    return RunPretraining(directory_.path(), *file, [&] { return steps++ == stop_after; });
  }
  std::string File(const std::string& name) const { return JoinPath(directory_.path(), name); }
  TemporaryDirectory directory_ = std::move(TemporaryDirectory::Create("pretrain-test")).value();
};

TEST_F(PretrainingTest, WritesAModelDirectoryThatLoads) {
  const auto outcome = Run(SmallFile());
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_LT(outcome->loss_last, outcome->loss_first);

  const std::string path = JoinPath(directory_.path(), "model");
  const auto config = ModelConfig::FromJson(*ReadFile(JoinPath(path, "config.json")));
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->bos_token, 0);
  EXPECT_TRUE(config->shape.tied_embeddings);
  const auto tokenizer = LoadTokenizer(path);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_EQ((*tokenizer)->VocabSize(), config->shape.vocab_size);
  const auto weights = LoadWeights(JoinPath(path, "model.safetensors"), at::kFloat);
  ASSERT_TRUE(weights.ok()) << weights.status();
  EXPECT_TRUE(CreateModel(*config, *weights).ok());
}

TEST_F(PretrainingTest, EqualSeedsGiveEqualFiles) {
  json file = SmallFile();
  ASSERT_TRUE(Run(file).ok());
  file["output_path"] = "again";
  ASSERT_TRUE(Run(file).ok());
  for (const char* name : {"model.safetensors", "tokenizer.json", "config.json"}) {
    EXPECT_EQ(*ReadFile(JoinPath(directory_.path(), std::string("model/") + name)),
              *ReadFile(JoinPath(directory_.path(), std::string("again/") + name)))
        << name;
  }
}

TEST_F(PretrainingTest, AStopLeavesNoOutput) {
  EXPECT_EQ(Run(SmallFile(), 0).status().code(), StatusCode::kCancelled);
  EXPECT_FALSE(PathExists(File("model")));
}

TEST_F(PretrainingTest, GoesOnWhereItWasStoppedWithTheSameBits) {
  json file = SmallFile();
  ASSERT_TRUE(Run(file).ok());
  file["output_path"] = "again";
  for (const int stop_after : {1, 7, 3}) {  // steps of this run
    EXPECT_THAT(Run(file, stop_after).status().message(), HasSubstr("goes on from there"));
    EXPECT_FALSE(PathExists(File("again")));
  }
  testing::internal::CaptureStderr();
  const auto outcome = Run(file);
  const std::string said = testing::internal::GetCapturedStderr();
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_THAT(said, HasSubstr("going on after step 11 of 20"));
  EXPECT_EQ(outcome->steps, 20);
  EXPECT_EQ(*ReadFile(File("model/model.safetensors")), *ReadFile(File("again/model.safetensors")));
  EXPECT_FALSE(PathExists(File(std::string(kCheckpointFile))));
}

TEST_F(PretrainingTest, ACheckpointOfAnotherRecipeOrOfOtherDataIsNotUsed) {
  json other = SmallFile();
  other["training"]["learning_rate"] = 0.01;
  EXPECT_FALSE(Run(other, 5).ok());
  testing::internal::CaptureStderr();
  ASSERT_TRUE(Run(SmallFile()).ok());
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("it is of other work"));

  json file = SmallFile();
  file["output_path"] = "again";
  EXPECT_FALSE(Run(file, 5).ok());
  const std::string text = *ReadFile(File("text.jsonl"));
  ASSERT_TRUE(WriteFileAtomic(File("text.jsonl"), text + text).ok());
  testing::internal::CaptureStderr();
  ASSERT_TRUE(Run(file).ok());
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("it is of other work"));
}

TEST_F(PretrainingTest, SaysWhatItDoesBeforeItsFirstStep) {
  ASSERT_TRUE(Run(SmallFile()).ok());
  const std::string lines = *ReadFile(File(std::string(kProgressFile)));
  for (const char* part : {"reading the text", "learning a tokenizer from 8 texts", "tokenizing"}) {
    EXPECT_LT(lines.find(part), lines.find("\"step\":1,")) << part;
  }
}

TEST_F(PretrainingTest, WaitsForAnotherProcessInItsDirectoryUntilItIsStopped) {
  const auto lock = OpenFile(File(std::string(kPretrainLock)), O_RDWR | O_CREAT);
  ASSERT_TRUE(lock.ok());
  ASSERT_EQ(flock(lock->get(), LOCK_EX), 0);
  EXPECT_EQ(Run(SmallFile(), 2).status().code(), StatusCode::kCancelled);
  EXPECT_FALSE(PathExists(File("model")));
}

TEST_F(PretrainingTest, RefusesToOverwrite) {
  ASSERT_TRUE(MakeDirectories(JoinPath(directory_.path(), "model")).ok());
  EXPECT_EQ(Run(SmallFile()).status().code(), StatusCode::kAlreadyExists);
}

TEST(PretrainFileTest, NamesAllProblems) {
  json file = SmallFile();
  file["model"]["layers"] = 0;
  file["training"]["schedule"] = "linear";
  file["colour"] = "blue";
  file.erase("output_path");
  const auto read = PretrainFile::FromJson(file.dump());
  ASSERT_FALSE(read.ok());
  for (const char* part : {"model.layers", "training.schedule", "colour", "output_path"}) {
    EXPECT_THAT(read.status().message(), HasSubstr(part));
  }
}

TEST(PretrainFileTest, RefusesHeadsThatDoNotDivide) {
  json file = SmallFile();
  file["model"]["heads"] = 3;
  EXPECT_THAT(PretrainFile::FromJson(file.dump()).status().message(), HasSubstr("must divide"));
}

}  // namespace
}  // namespace tributary::trainer

#include "core/task_contract.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace tributary {
namespace {

using testing::HasSubstr;

TaskFile SampleTask() {
  TaskFile task;
  task.task = "t-1";
  task.campaign = "chem-lora";
  task.site = "alpha";
  task.round = 3;
  task.global_version = 2;
  task.seed = std::numeric_limits<std::uint64_t>::max();
  task.model_path = "/models/base";
  task.data = {{"chemistry", "/data/a.jsonl"}, {"physics", "/data/b.jsonl"}};
  task.training.steps = 7;
  task.training.schedule = "cosine";
  task.training.learning_rate = 0.0625;
  task.training.gradient_checkpointing = true;
  task.training.base_precision = "int8";
  task.threads = 2;
  task.walltime_seconds = 600;
  return task;
}

std::string Replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(TaskFileTest, TrainTasksRoundTrip) {
  const TaskFile task = SampleTask();
  const auto read = TaskFile::FromJson(task.ToJson());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->ToJson(), task.ToJson());
  EXPECT_EQ(read->seed, task.seed);
  EXPECT_EQ(read->data[1].path, "/data/b.jsonl");
  EXPECT_EQ(read->training.learning_rate, 0.0625);
  EXPECT_TRUE(read->training.gradient_checkpointing);
  EXPECT_EQ(read->training.base_precision, "int8");
}

TEST(TaskFileTest, PrunedRanksRoundTripAndAreInOrder) {
  TaskFile task = SampleTask();
  task.pruning = PrunedRanks{0.125, 6, 7};
  const auto read = TaskFile::FromJson(task.ToJson());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->pruning, task.pruning);
  task.pruning->from = 8;
  EXPECT_THAT(TaskFile::FromJson(task.ToJson()).status().message(),
              HasSubstr("task.json.strategy.pruning.from: 8 is more than kept, 7"));
}

TEST(TaskFileTest, WhatIsOffIsLeftOutForTrainersThatDoNotKnowIt) {
  TaskFile task = SampleTask();
  task.training = {};
  const std::string text = task.ToJson();
  EXPECT_EQ(text.find("gradient_checkpointing"), std::string::npos);
  EXPECT_EQ(text.find("base_precision"), std::string::npos);
}

TEST(TaskFileTest, EvaluateTasksRoundTrip) {
  TaskFile task = SampleTask();
  task.kind = TaskKind::kEvaluate;
  task.evaluation_batch_size = 5;
  task.evaluation_max_examples = 99;
  task.evaluation_answer_tokens = 12;
  task.data[0].chat_template = "chatml";
  task.data[0].max_bad_lines = 3;
  const auto read = TaskFile::FromJson(task.ToJson());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->kind, TaskKind::kEvaluate);
  EXPECT_EQ(read->evaluation_batch_size, 5);
  EXPECT_EQ(read->evaluation_max_examples, 99);
  EXPECT_EQ(read->evaluation_answer_tokens, 12);
  EXPECT_EQ(read->training.base_precision, "int8");
  EXPECT_EQ(read->data[0].chat_template, "chatml");
  EXPECT_EQ(read->data[0].max_bad_lines, 3);
}

TEST(TaskFileTest, NamesAllProblemsAtOnce) {
  std::string text = SampleTask().ToJson();
  text = Replaced(text, "\"steps\": 7", "\"steps\": 0");
  text = Replaced(text, "\"cosine\"", "\"linear\"");
  text = Replaced(text, "\"threads\"", "\"thread\"");
  text = Replaced(text, "\"physics\"", "\"chemistry\"");
  text = Replaced(text, "\"learning_rate\": 0.0625", "\"learning_rate\": -1");
  text = Replaced(text, "\"int8\"", "\"int4\"");
  const Status status = TaskFile::FromJson(text).status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  for (const char* part : {"training.steps", "known: constant, cosine", "thread", "used twice",
                           "learning_rate", "known: fp32, stored, int8"}) {
    EXPECT_THAT(status.message(), HasSubstr(part));
  }
}

TEST(TaskFileTest, RefusesAnotherSchema) {
  const std::string text = Replaced(SampleTask().ToJson(), "\"schema\": 1", "\"schema\": 2");
  EXPECT_THAT(TaskFile::FromJson(text).status().message(), HasSubstr("2 is not supported"));
}

TEST(TaskFileTest, RefusesNegativeAndFractionalSeeds) {
  const std::string text = SampleTask().ToJson();
  for (const char* seed : {"-1", "1.5", "\"7\""}) {
    const std::string bad =
        Replaced(text, "\"seed\": 18446744073709551615", std::string("\"seed\": ") + seed);
    EXPECT_THAT(TaskFile::FromJson(bad).status().message(), HasSubstr("seed")) << seed;
  }
}

TEST(TaskFileTest, RefusesTextThatIsNoObject) {
  for (const char* text : {"", "[]", "{\"schema\": 1", "null"}) {
    EXPECT_FALSE(TaskFile::FromJson(text).ok()) << text;
  }
}

TEST(TaskResultTest, RoundTrips) {
  TaskResult result;
  result.completion = Completion::kPartial;
  result.message = "stopped by a signal";
  result.samples = 80;
  result.tokens = 1234;
  result.steps = 5;
  result.loss_first = 4.5;
  result.loss_last = 3.25;
  result.train_seconds = 1.5;
  result.metrics = {{"loss/chemistry", 3.5}, {"perplexity/chemistry", 33.1}};
  const auto read = TaskResult::FromJson(result.ToJson());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->ToJson(), result.ToJson());
  EXPECT_EQ(read->metrics, result.metrics);
  EXPECT_EQ(result.ToJson().find("device"), std::string::npos)
      << "nothing that older daemons refuse";
  result.device = "cuda, NVIDIA H100";
  result.peak_memory_bytes = std::int64_t{2} << 40;
  const auto with_device = TaskResult::FromJson(result.ToJson());
  ASSERT_TRUE(with_device.ok()) << with_device.status();
  EXPECT_EQ(with_device->device, result.device);
  EXPECT_EQ(with_device->peak_memory_bytes, result.peak_memory_bytes);
}

TEST(TaskResultTest, NamesWhatIsWrong) {
  const Status status =
      TaskResult::FromJson(
          R"({"schema": 1, "completion": "done", "steps": -1, "metrics": {"loss/a": "low"}})")
          .status();
  for (const char* part : {"known: complete, partial, failed", "steps", "metrics.loss/a"}) {
    EXPECT_THAT(status.message(), HasSubstr(part));
  }
}

TEST(ProgressLineTest, IsOneLineAndRoundTrips) {
  const ProgressLine line{3, 50, 2.5, 4096, 1.25};
  const std::string text = line.ToJson();
  EXPECT_EQ(text.find('\n'), text.size() - 1);
  const auto read = ProgressLine::FromJson(text);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->ToJson(), text);
}

TEST(ProgressLineTest, RefusesATornLine) {
  EXPECT_FALSE(ProgressLine::FromJson(R"({"step": 3, "ste)").ok());
  EXPECT_FALSE(ProgressLine::FromJson(R"({"step": 3})").ok());
}

}  // namespace
}  // namespace tributary

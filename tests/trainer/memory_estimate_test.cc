#include "trainer/memory_estimate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/trainer/tiny_model.h"

namespace tributary::trainer {
namespace {

// Llama 3.2 1B.
ModelShape OneBillion() {
  ModelShape shape;
  shape.vocab_size = 128256;
  shape.hidden_size = 2048;
  shape.intermediate_size = 8192;
  shape.layers = 16;
  shape.heads = 32;
  shape.kv_heads = 8;
  shape.head_dim = 64;
  shape.tied_embeddings = true;
  return shape;
}

MemoryEstimate Estimate(const TaskFile& task, const AdapterConfig& adapter) {
  return EstimateMemory(task, OneBillion(), adapter, *LayOutAdapter(adapter, OneBillion()), 2);
}

constexpr double kGib = 1 << 30;

TEST(MemoryEstimateTest, CountsTheWeightsOfALargeModel) {
  const MemoryEstimate estimate = Estimate({}, {});
  EXPECT_NEAR(static_cast<double>(estimate.weights) / kGib, 1.2358e9 * 4 / kGib, 0.01);
  EXPECT_LT(estimate.trained, std::uint64_t{32} << 20);
}

TEST(MemoryEstimateTest, FullTrainingKeepsFourCopies) {
  AdapterConfig full;
  full.kind = AdapterKind::kFull;
  TaskFile task;
  const auto adamw = Estimate(task, full);
  EXPECT_EQ(adamw.weights, 0U);
  task.training.optimizer = "sgd";
  const auto sgd = Estimate(task, full);
  EXPECT_NEAR(static_cast<double>(adamw.trained - sgd.trained) / kGib, 2 * 1.2358e9 * 4 / kGib,
              0.02);
}

TEST(MemoryEstimateTest, ActivationsGrowWithTheBatchAndVanishInEvaluation) {
  TaskFile task;
  const auto one = Estimate(task, {});
  task.training.batch_size *= 2;
  const auto two = Estimate(task, {});
  EXPECT_GT(two.activations, one.activations * 3 / 2);
  task.kind = TaskKind::kEvaluate;
  EXPECT_LT(Estimate(task, {}).activations, one.activations);
}

TEST(MemoryEstimateTest, AnswersKeepKeysAndValues) {
  TaskFile task;
  task.kind = TaskKind::kEvaluate;
  const auto losses = Estimate(task, {});
  task.evaluation_answer_tokens = 44;
  const std::uint64_t cached = std::uint64_t{2} * 16 * 8 * 64 * (256 + 44) * 4;
  EXPECT_EQ(Estimate(task, {}).activations, losses.activations + cached);
}

TEST(MemoryEstimateTest, CheckpointingKeepsTheInputsOfTheLayers) {
  TaskFile task;
  task.training.batch_size = 16;
  const auto kept = Estimate(task, {});
  task.training.gradient_checkpointing = true;
  const auto recomputed = Estimate(task, {});
  EXPECT_LT(recomputed.activations, kept.activations / 2);
  const std::uint64_t inputs = std::uint64_t{16} * 2048 * 4 * 16 * 256;  // of 16 layers
  EXPECT_GT(recomputed.activations, inputs);
}

TEST(MemoryEstimateTest, RefusesWithBothNumbers) {
  MemoryEstimate estimate;
  estimate.weights = std::uint64_t{3} << 30;
  EXPECT_TRUE(CheckMemory(estimate, std::nullopt).ok());
  EXPECT_TRUE(CheckMemory(estimate, std::uint64_t{4} << 30).ok());
  const Status status = CheckMemory(estimate, std::uint64_t{2} << 30);
  EXPECT_THAT(status.message(), testing::HasSubstr("3.00 GiB"));
  EXPECT_THAT(status.message(), testing::HasSubstr("2.00 GiB is available"));
}

}  // namespace
}  // namespace tributary::trainer

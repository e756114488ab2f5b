#include "trainer/optimizer.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

namespace tributary::trainer {
namespace {

NamedTensors OneMatrix(double value) {
  return {{"w", at::full({1, 1}, value, at::kDouble).requires_grad_(true)}};
}

void SetGradient(NamedTensors& tensors, const at::Tensor& gradient) {
  tensors.at("w").mutable_grad() = gradient;
}

TEST(AdamWTest, FirstTwoStepsEqualTheHandComputedValues) {
  TrainingSettings settings;
  settings.beta1 = 0.9;
  settings.beta2 = 0.99;
  settings.epsilon = 1e-8;
  settings.weight_decay = 0.1;
  NamedTensors tensors = OneMatrix(1.0);
  const auto optimizer = MakeOptimizer(tensors, settings);

  SetGradient(tensors, at::full({1, 1}, 0.5, at::kDouble));
  optimizer->Step(0.01);
  // m = 0.05, m^ = 0.5; v = 0.0025, v^ = 0.25: 1 * (1 - 0.001) - 0.01 * 0.5 / (0.5 + 1e-8)
  const double first = 0.999 - 0.01 * 0.5 / (0.5 + 1e-8);
  EXPECT_NEAR(tensors.at("w").item<double>(), first, 1e-15);
  EXPECT_FALSE(tensors.at("w").grad().defined());

  SetGradient(tensors, at::full({1, 1}, -1.0, at::kDouble));
  optimizer->Step(0.02);
  // m = 0.9 * 0.05 - 0.1 = -0.055, m^ = m / 0.19; v = 0.99 * 0.0025 + 0.01 = 0.012475, v^ = v /
  // 0.0199
  const double update = (-0.055 / 0.19) / (std::sqrt(0.012475 / 0.0199) + 1e-8);
  EXPECT_NEAR(tensors.at("w").item<double>(), first * (1 - 0.002) - 0.02 * update, 1e-14);
}

TEST(AdamWTest, DecaysMatricesAndNotNormWeights) {
  TrainingSettings settings;
  settings.weight_decay = 0.5;
  NamedTensors tensors = {{"norm", at::ones({2}).requires_grad_(true)},
                          {"w", at::ones({2, 2}).requires_grad_(true)}};
  const auto optimizer = MakeOptimizer(tensors, settings);
  for (auto& [name, tensor] : tensors) tensor.mutable_grad() = at::zeros_like(tensor);
  optimizer->Step(0.1);
  EXPECT_TRUE(at::equal(tensors.at("norm"), at::ones({2})));
  EXPECT_TRUE(at::allclose(tensors.at("w"), at::full({2, 2}, 0.95)));
}

TEST(ScheduleTest, WarmsUpLinearlyThenStays) {
  TrainingSettings settings;
  settings.steps = 10;
  settings.warmup_steps = 4;
  settings.learning_rate = 0.8;
  settings.learning_rate_scale = 0.5;
  EXPECT_DOUBLE_EQ(LearningRate(settings, 0), 0.1);
  EXPECT_DOUBLE_EQ(LearningRate(settings, 3), 0.4);
  EXPECT_DOUBLE_EQ(LearningRate(settings, 9), 0.4);
}

TEST(ScheduleTest, CosineFallsFromThePeakTowardsZero) {
  TrainingSettings settings;
  settings.steps = 12;
  settings.warmup_steps = 2;
  settings.learning_rate = 1;
  settings.schedule = "cosine";
  EXPECT_DOUBLE_EQ(LearningRate(settings, 1), 1);
  EXPECT_DOUBLE_EQ(LearningRate(settings, 2), 1);
  EXPECT_NEAR(LearningRate(settings, 7), 0.5, 1e-15);
  EXPECT_NEAR(LearningRate(settings, 11), 0.5 * (1 + std::cos(M_PI * 0.9)), 1e-15);
}

TEST(ClipTest, ScalesTheJointNormDownToTheLimitOnly) {
  NamedTensors tensors = {{"a", at::zeros({1}).requires_grad_(true)},
                          {"b", at::zeros({1}).requires_grad_(true)}};
  tensors.at("a").mutable_grad() = at::full({1}, 3.0F);
  tensors.at("b").mutable_grad() = at::full({1}, 4.0F);
  EXPECT_DOUBLE_EQ(ClipGradients(tensors, 10), 5);
  EXPECT_FLOAT_EQ(tensors.at("b").grad().item<float>(), 4);
  EXPECT_DOUBLE_EQ(ClipGradients(tensors, 1), 5);
  EXPECT_FLOAT_EQ(tensors.at("b").grad().item<float>(), 0.8F);
  EXPECT_NEAR(ClipGradients(tensors, 0), 1, 1e-6);
}

}  // namespace
}  // namespace tributary::trainer

// What a campaign's strategy may ask of the trainer, see docs/task_directory.md.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/files.h"
#include "core/peft_adapter.h"
#include "tests/core/test_files.h"
#include "tests/trainer/tiny_model.h"
#include "trainer/evaluation.h"
#include "trainer/local_objective.h"
#include "trainer/optimizer.h"
#include "trainer/training.h"

namespace tributary::trainer {
namespace {

using testing::HasSubstr;

// One parameter y with the loss curvature / 2 (y - target)^2.
class Quadratic {
 public:
  explicit Quadratic(double start) { parameters_["y"] = at::full({1}, start).requires_grad_(true); }
  void Train(const LocalObjective& objective, int steps, double rate) {
    TrainingSettings settings;
    settings.optimizer = "sgd";
    const auto optimizer = MakeOptimizer(parameters_, settings);
    for (int i = 0; i < steps; ++i) {
      const at::Tensor error = parameters_["y"] - 3.0;
      (error * error).sum().backward();  // curvature 2, target 3
      objective.AddToGradients(parameters_);
      optimizer->Step(rate);
      objective.AfterStep(parameters_, rate);
    }
  }
  double value() { return parameters_["y"].item<double>(); }
  const NamedTensors& parameters() const { return parameters_; }

 private:
  NamedTensors parameters_;
};

// Section A.3 of the field's formulas: y* = (a c + mu x) / (a + mu).
TEST(LocalObjectiveTest, TheProximalTermPullsTowardsTheStart) {
  TaskFile task;
  task.proximal = 1;
  Quadratic problem(0);
  problem.Train(*LocalObjective::Make(task, "", problem.parameters()), 200, 0.1);
  EXPECT_NEAR(problem.value(), 2, 1e-5);
}

TEST(LocalObjectiveTest, TheOffsetIsPartOfEverySgdStep) {
  const TestDirectory directory;
  WriteFloats(directory / "offset", {{"y", {0.5F}}});
  TaskFile task;
  task.gradient_offset = "offset";
  Quadratic problem(0);
  problem.Train(*LocalObjective::Make(task, directory.path(), problem.parameters()), 1, 0.1);
  EXPECT_NEAR(problem.value(), -0.1 * (2 * (0 - 3) + 0.5), 1e-6);
  // A control variate that is the gradient at the optimum of all: no drift from there.
  WriteFloats(directory / "offset", {{"y", {2}}});
  Quadratic at_optimum(2);  // gradient 2 (2 - 3) = -2
  at_optimum.Train(*LocalObjective::Make(task, directory.path(), at_optimum.parameters()), 7, 0.1);
  EXPECT_NEAR(at_optimum.value(), 2, 1e-6);
}

// |A[1, :]| = 5, |B[:, 1]| = 2: the gradients of 0.1 * 5 * 2 on rank 1 of the three.
TEST(LocalObjectiveTest, TheLastRanksHaveAPriceAndThoseGivenUpAreZero) {
  const std::string a = LoraName("m", true);
  const std::string b = LoraName("m", false);
  NamedTensors parameters = {{a, at::tensor({1.0F, 1.0F, 3.0F, 4.0F, 7.0F, 7.0F}).view({3, 2})},
                             {b, at::tensor({1.0F, 0.0F, 7.0F, 1.0F, 2.0F, 7.0F}).view({2, 3})}};
  for (auto& [name, tensor] : parameters) {
    tensor.requires_grad_(true);
    tensor.mutable_grad() = at::zeros_like(tensor);
  }
  TaskFile task;
  task.pruning = PrunedRanks{0.1, 1, 2};
  DropRanks(*task.pruning, parameters);
  const LocalObjective objective = *LocalObjective::Make(task, "", parameters);
  const at::Tensor empty_a = at::tensor({1.0F, 1.0F, 3.0F, 4.0F, 0.0F, 0.0F}).view({3, 2});
  const at::Tensor empty_b = at::tensor({1.0F, 0.0F, 0.0F, 1.0F, 2.0F, 0.0F}).view({2, 3});
  EXPECT_TRUE(at::equal(parameters[a], empty_a));
  EXPECT_TRUE(at::equal(parameters[b], empty_b));
  objective.AddToGradients(parameters);
  EXPECT_TRUE(at::allclose(parameters[a].grad(),
                           at::tensor({0.0F, 0.0F, 0.12F, 0.16F, 0.0F, 0.0F}).view({3, 2})));
  EXPECT_TRUE(at::allclose(parameters[b].grad(),
                           at::tensor({0.0F, 0.0F, 0.0F, 0.0F, 0.5F, 0.0F}).view({2, 3})));
  {
    const at::NoGradGuard no_grad;
    parameters[a].add_(1);  // an optimizer that moves what has no gradient
  }
  objective.AfterStep(parameters, 0.1);
  EXPECT_TRUE(
      at::equal(parameters[a], at::tensor({2.0F, 2.0F, 4.0F, 5.0F, 0.0F, 0.0F}).view({3, 2})));
}

TEST(LocalObjectiveTest, OffsetsThatDoNotFitAreRefused) {
  const TestDirectory directory;
  WriteFloats(directory / "offset", {{"y", {1, 2}}});
  TaskFile task;
  task.gradient_offset = "offset";
  const Quadratic problem(0);
  const Status status = LocalObjective::Make(task, directory.path(), problem.parameters()).status();
  EXPECT_THAT(status.message(), HasSubstr("has no tensor y of its shape"));
}

TEST(OptimizerStateTest, ContinuesWhereAnotherStopped) {
  for (const char* kind : {"adamw", "sgd"}) {
    TrainingSettings settings;
    settings.optimizer = kind;
    settings.momentum = 0.9;
    const auto step = [](NamedTensors& parameters, Optimizer& optimizer) {
      (parameters["w"] * parameters["w"]).sum().backward();
      optimizer.Step(0.05);
    };
    NamedTensors whole = {{"w", at::tensor({1.0F, -2.0F}).requires_grad_(true)}};
    const auto undisturbed = MakeOptimizer(whole, settings);
    for (int i = 0; i < 6; ++i) step(whole, *undisturbed);

    NamedTensors parts = {{"w", at::tensor({1.0F, -2.0F}).requires_grad_(true)}};
    const auto first = MakeOptimizer(parts, settings);
    for (int i = 0; i < 3; ++i) step(parts, *first);
    const auto second = MakeOptimizer(parts, settings);
    ASSERT_TRUE(second->Restore(first->State()).ok());
    for (int i = 0; i < 3; ++i) step(parts, *second);
    EXPECT_TRUE(at::equal(parts["w"], whole["w"])) << kind;
    EXPECT_FALSE(second->Restore({}).ok());
  }
}

class StrategyTaskTest : public testing::Test {
 protected:
  std::vector<float> Floats(const std::string& file, const std::string& tensor) const {
    return ReadFloats(root_ + "/" + file, tensor);
  }
  static std::string Factor(bool is_a) { return LoraName("model.layers.0.self_attn.q_proj", is_a); }

  const TestDirectory directory_;
  const std::string root_ = directory_.path();
  TaskFile task_ = TinyTrainTask(root_);
};

TEST_F(StrategyTaskTest, FrozenFactorsComeBackAsTheyWere) {
  task_.frozen = FrozenFactor::kA;
  WriteTinyTask(root_, task_);
  const auto result = RunTrainTask(root_, task_, {}, Never);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_NEAR(result->learning_rate_sum,
              static_cast<double>(result->steps) * task_.training.learning_rate, 1e-12);
  const std::string global = "global/adapter_model.safetensors";
  const std::string update = "update/adapter_model.safetensors";
  EXPECT_EQ(Floats(update, Factor(true)), Floats(global, Factor(true)));
  EXPECT_NE(Floats(update, Factor(false)), Floats(global, Factor(false)));
}

TEST_F(StrategyTaskTest, APriceEmptiesTheLastRanks) {
  const auto last_norms = [&](double penalty) {
    EXPECT_TRUE(RemoveTree(root_ + "/update").ok());
    task_.pruning = PrunedRanks{penalty, 1, 2};
    EXPECT_TRUE(RunTrainTask(root_, task_, {}, Never).ok());
    double squares = 0;  // of column 1 of B
    const auto values = Floats("update/adapter_model.safetensors", Factor(false));
    const auto config =
        AdapterConfig::FromPeftJson(*ReadFile(root_ + "/global/adapter_config.json"));
    const auto rank = static_cast<std::size_t>(config->rank);
    EXPECT_GT(rank, 2U);
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (i % rank == 1) squares += static_cast<double>(values[i]) * values[i];
      EXPECT_TRUE(i % rank < 2 || values[i] == 0) << i;
    }
    return std::sqrt(squares);
  };
  task_.training.steps = 20;
  WriteTinyTask(root_, task_);
  const double free = last_norms(0);
  EXPECT_LT(last_norms(10), free / 4);
}

TEST_F(StrategyTaskTest, AnOptimizerThatIsKeptLiesBesideTheUpdate) {
  task_.keep_optimizer = true;
  WriteTinyTask(root_, task_);
  ASSERT_TRUE(RunTrainTask(root_, task_, {}, Never).ok());
  const auto state = SafetensorsFile::Open(root_ + "/update/optimizer.safetensors");
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_NE(state->Find("mean." + Factor(false)), nullptr);
  EXPECT_EQ(Floats("update/optimizer.safetensors", "steps"),
            std::vector<float>{static_cast<float>(task_.training.steps)});
}

// An adapter and the same as a product of the base weights are the same model.
TEST_F(StrategyTaskTest, MergedProductsBelongToTheBaseWeights) {
  WriteTinyTask(root_, task_);
  ASSERT_TRUE(RunTrainTask(root_, task_, {}, Never).ok());
  const auto config = AdapterConfig::FromPeftJson(*ReadFile(root_ + "/global/adapter_config.json"));
  const auto trained = SafetensorsFile::Open(root_ + "/update/adapter_model.safetensors");
  std::vector<NamedFloats> product;
  for (const SafetensorsEntry& entry : trained->header().tensors) {
    std::string name = entry.spec.name;
    const bool is_a = IsLoraA(name);
    name.replace(name.find(is_a ? ".lora_A" : ".lora_B"), std::string::npos,
                 is_a ? kMergedSuffixA : kMergedSuffixB);
    const auto values = trained->Floats(entry);
    product.push_back({name, {values.begin(), values.end()}, entry.spec.shape});
    if (is_a) continue;
    for (float& value : product.back().values) value *= static_cast<float>(config->Scale());
  }
  TaskFile evaluate = task_;
  evaluate.kind = TaskKind::kEvaluate;
  const auto loss = [&] {
    EXPECT_TRUE(RemoveTree(root_ + "/update").ok());
    const auto result = RunEvaluateTask(root_, evaluate, {}, Never);
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? result->metrics.begin()->second : 0;
  };
  const double base = loss();  // the fresh adapter does nothing
  WriteFloats(root_ + "/product.safetensors", product);
  evaluate.merged = {"product.safetensors"};
  const double merged = loss();
  ASSERT_TRUE(WriteSafetensors(root_ + "/global/adapter_model.safetensors",
                               [&] {
                                 std::vector<HostTensor> tensors;
                                 for (const SafetensorsEntry& entry : trained->header().tensors) {
                                   const auto bytes = trained->Bytes(entry);
                                   tensors.push_back({entry.spec, {bytes.begin(), bytes.end()}});
                                 }
                                 return tensors;
                               }())
                  .ok());
  evaluate.merged.clear();
  EXPECT_NEAR(merged, loss(), 1e-5);
  EXPECT_GT(std::abs(merged - base), 1e-4);
}

}  // namespace
}  // namespace tributary::trainer

#include "trainer/training_loop.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/files.h"
#include "tests/trainer/tiny_model.h"
#include "trainer/llama.h"

namespace tributary::trainer {
namespace {

using testing::HasSubstr;

class TrainingLoopTest : public testing::Test {
 protected:
  TrainingLoopTest() {
    const auto table = std::make_shared<TokenTable>();
    for (const auto& ids : std::vector<std::vector<std::int32_t>>{
             {0, 5, 7, 2, 9, 1}, {0, 3, 1}, {0, 12, 11, 10, 4, 8, 1}, {0, 2, 6, 1}}) {
      const auto size = static_cast<std::int64_t>(ids.size());
      table->Add({ids, {{size / 2, size}}});
    }
    dataset_.Add(table, 64);
    settings_.steps = 6;
    settings_.batch_size = 4;
    settings_.learning_rate = 0.02;
  }

  // Trains fresh tensors with settings_ and returns them.
  NamedTensors Train(double dropout = 0, const std::function<bool()>& stop = Never,
                     Checkpoint* checkpoint = nullptr) {
    const ModelConfig config = TinyConfig();
    auto model = std::move(Llama::Create(config, TinyWeights(config, at::kDouble))).value();
    Adapter adapter = TinyLora(config, at::kDouble, dropout);
    AttachLora(adapter, model.get());
    RequireGradients(&adapter.tensors);
    auto outcome = RunTraining(*model, adapter.tensors, dataset_, settings_, 3, LocalObjective(),
                               MakeOptimizer(adapter.tensors, settings_).get(),
                               {&progress_, stop, checkpoint});
    EXPECT_TRUE(outcome.ok()) << outcome.status();
    if (outcome.ok()) outcome_ = *outcome;
    return adapter.tensors;
  }

  TemporaryDirectory directory_ = std::move(TemporaryDirectory::Create("loop-test")).value();
  ProgressWriter progress_ = std::move(ProgressWriter::Open(directory_.path())).value();
  Dataset dataset_;
  TrainingSettings settings_;
  TrainingOutcome outcome_;
};

TEST_F(TrainingLoopTest, LowersTheLossAndCountsWhatItUsed) {
  settings_.steps = 30;
  Train();
  EXPECT_EQ(outcome_.steps, 30);
  EXPECT_EQ(outcome_.samples, 120);
  EXPECT_EQ(outcome_.tokens, 30 * dataset_.LossTokens());
  EXPECT_LT(outcome_.loss_last, 0.8 * outcome_.loss_first);
}

// Killed after any step, and begun again from what was saved then.
TEST_F(TrainingLoopTest, AResumedTrainingGivesTheSameBits) {
  ASSERT_EQ(setenv("TRIBUTARY_CHECKPOINT_STEPS", "2", 1), 0);
  for (const char* optimizer : {"adamw", "sgd"}) {
    settings_.optimizer = optimizer;
    settings_.momentum = 0.9;
    settings_.schedule = "cosine";
    settings_.gradient_accumulation = 2;
    const NamedTensors whole = Train(0.1);
    const TrainingOutcome expected = outcome_;
    for (int killed_after = 1; killed_after < settings_.steps; ++killed_after) {
      auto checkpoint = Checkpoint::Open(directory_.path(), "task");
      ASSERT_TRUE(checkpoint.ok());
      ASSERT_TRUE(checkpoint->Remove().ok());
      int steps = 0;
      Train(
          0.1, [&] { return steps++ == killed_after; }, &*checkpoint);
      EXPECT_EQ(PathExists(JoinPath(directory_.path(), kCheckpointFile)), killed_after >= 2);
      const NamedTensors resumed = Train(0.1, Never, &*checkpoint);
      for (const auto& [name, tensor] : whole) {
        EXPECT_TRUE(at::equal(tensor, resumed.find(name)->second)) << name << killed_after;
      }
      EXPECT_EQ(outcome_.steps, expected.steps);
      EXPECT_EQ(outcome_.samples, expected.samples);
      EXPECT_EQ(outcome_.tokens, expected.tokens);
      EXPECT_EQ(outcome_.loss_first, expected.loss_first);
      EXPECT_EQ(outcome_.loss_last, expected.loss_last);
      EXPECT_EQ(outcome_.learning_rate_sum, expected.learning_rate_sum);
    }
  }
  ASSERT_EQ(unsetenv("TRIBUTARY_CHECKPOINT_STEPS"), 0);
}

TEST_F(TrainingLoopTest, ACheckpointOfOtherWorkIsNotUsed) {
  ASSERT_EQ(setenv("TRIBUTARY_CHECKPOINT_STEPS", "1", 1), 0);
  const NamedTensors whole = Train();
  auto other = Checkpoint::Open(directory_.path(), "other");
  auto mine = Checkpoint::Open(directory_.path(), "task");
  ASSERT_TRUE(other.ok() && mine.ok());
  int steps = 0;
  Train(
      0, [&] { return steps++ == 3; }, &*other);
  const auto same = [&](const NamedTensors& tensors) {
    return at::equal(whole.begin()->second, tensors.begin()->second);
  };
  const auto said = [&] {
    testing::internal::CaptureStderr();
    EXPECT_TRUE(same(Train(0, Never, &*mine)));
    return testing::internal::GetCapturedStderr();
  };
  EXPECT_THAT(said(), HasSubstr("not used, training begins anew"));
  const std::string path = JoinPath(directory_.path(), kCheckpointFile);
  ASSERT_TRUE(mine->Remove().ok());
  steps = 0;
  Train(
      0, [&] { return steps++ == 3; }, &*mine);
  const std::string whole_file = *ReadFile(path);
  EXPECT_THAT(said(), HasSubstr("going on after step"));
  for (const std::size_t at : {whole_file.size() / 2, whole_file.size() - 3}) {
    std::string flipped = whole_file;
    flipped[at] = static_cast<char>(flipped[at] ^ 0x40);
    for (const std::string& bytes : {flipped, whole_file.substr(0, at), std::string("damaged")}) {
      ASSERT_TRUE(WriteFileAtomic(path, bytes).ok());
      EXPECT_THAT(said(), HasSubstr("not used, training begins anew")) << at;
    }
  }
  ASSERT_EQ(setenv("TRIBUTARY_CHECKPOINT_STEPS", "often", 1), 0);
  EXPECT_EQ(Checkpoint::Open(directory_.path(), "task").status().code(),
            StatusCode::kInvalidArgument);
  ASSERT_EQ(unsetenv("TRIBUTARY_CHECKPOINT_STEPS"), 0);
}

TEST_F(TrainingLoopTest, AccumulatingTwiceTwoEqualsABatchOfFour) {
  const NamedTensors whole = Train();
  settings_.batch_size = 2;
  settings_.gradient_accumulation = 2;
  const NamedTensors accumulated = Train();
  for (const auto& [name, tensor] : whole) {
    EXPECT_TRUE(at::allclose(tensor, accumulated.at(name), 0, 1e-6)) << name;
  }
}

TEST_F(TrainingLoopTest, EqualSeedsGiveEqualBitsAlsoWithDropout) {
  const NamedTensors one = Train(0.2);
  const NamedTensors two = Train(0.2);
  for (const auto& [name, tensor] : one) EXPECT_TRUE(at::equal(tensor, two.at(name))) << name;
}

TEST_F(TrainingLoopTest, StopsAfterTheStepInWhichItWasAsked) {
  int asked = 0;
  Train(0, [&asked] { return ++asked > 3; });
  EXPECT_EQ(outcome_.steps, 3);
  EXPECT_TRUE(outcome_.stopped);
}

TEST_F(TrainingLoopTest, ReportsEachOfTheFirstStepsAndTheLast) {
  settings_.steps = 10;
  Train();
  const auto text = ReadFile(JoinPath(directory_.path(), kProgressFile));
  ASSERT_TRUE(text.ok());
  EXPECT_EQ(std::count(text->begin(), text->end(), '\n'), 10);
  const std::size_t last = text->rfind('\n', text->size() - 2) + 1;
  const auto line = ProgressLine::FromJson(text->substr(last));
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->step, 10);
  EXPECT_EQ(line->steps, 10);
  EXPECT_EQ(line->tokens, outcome_.tokens);
}

TEST_F(TrainingLoopTest, FailsWhenTheLossIsNotFinite) {
  settings_.learning_rate = 1e300;
  const ModelConfig config = TinyConfig();
  NamedTensors weights = TinyWeights(config, at::kDouble);
  const auto model = std::move(Llama::Create(config, weights)).value();
  RequireGradients(&weights);
  const auto outcome = RunTraining(*model, weights, dataset_, settings_, 3, LocalObjective(),
                                   MakeOptimizer(weights, settings_).get(), {&progress_, Never});
  ASSERT_FALSE(outcome.ok());
  EXPECT_THAT(outcome.status().message(), testing::HasSubstr("not finite at step"));
}

}  // namespace
}  // namespace tributary::trainer

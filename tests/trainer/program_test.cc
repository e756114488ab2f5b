// tributary-trainer as a job runs it: a process, a task directory, signals.
#include <ATen/ATen.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <thread>

#include "core/files.h"
#include "core/sha256.h"
#include "tests/trainer/reference_llama.h"
#include "tests/trainer/tiny_model.h"
#include "trainer/device.h"
#include "trainer/model_directory.h"

namespace tributary::trainer {
namespace {

using testing::HasSubstr;

class ProgramTest : public testing::Test {
 protected:
  // Starts the program with its error output in job.err of the directory.
  pid_t Start(const std::string& command) const {
    const std::string errors = JoinPath(root_, "job.err");
    const pid_t child = fork();
    if (child == 0) {
      const int fd = open(errors.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
      dup2(fd, STDERR_FILENO);
      execl(TRIBUTARY_TRAINER, "tributary-trainer", command.c_str(), "--task", root_.c_str(),
            static_cast<char*>(nullptr));
      _exit(127);
    }
    return child;
  }
  static int Wait(pid_t child) {
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  int Run(const std::string& command) const { return Wait(Start(command)); }

  std::string Path(std::string_view name) const { return JoinPath(root_, name); }
  std::string Errors() const { return *ReadFile(Path("job.err")); }
  TaskResult ReadResult() const {
    const auto text = ReadFile(Path("update/result.json"));
    EXPECT_TRUE(text.ok()) << text.status();
    const auto result = TaskResult::FromJson(text.ok() ? *text : "{}");
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? *result : TaskResult{};
  }

  TemporaryDirectory directory_ = std::move(TemporaryDirectory::Create("trainer-test")).value();
  std::string root_ = directory_.path();
  TaskFile task_ = TinyTrainTask(root_);
};

// Of a job that was told to stop before its first step, and that its scheduler starts again.
TEST_F(ProgramTest, AFailureOfAnEarlierRunIsNotThisOnes) {
  WriteTinyTask(root_, task_);
  TaskResult failure;
  failure.completion = Completion::kFailed;
  failure.message = "stopped by a signal before the first step";
  ASSERT_TRUE(MakeDirectories(Path("update")).ok());
  ASSERT_TRUE(WriteFileAtomic(Path("update/result.json"), failure.ToJson()).ok());
  ASSERT_EQ(Run("train"), 0) << Errors();
  EXPECT_EQ(ReadResult().completion, Completion::kComplete);
}

TEST_F(ProgramTest, TrainsAndWritesTheUpdate) {
  WriteTinyTask(root_, task_);
  ASSERT_EQ(Run("train"), 0) << Errors();
  const TaskResult result = ReadResult();
  EXPECT_EQ(result.completion, Completion::kComplete);
  EXPECT_EQ(result.steps, 5);
  EXPECT_EQ(result.samples, 10);
  EXPECT_GT(result.tokens, 0);
  EXPECT_GT(result.loss_first, 0);

  const auto before = SafetensorsFile::Open(Path("global/adapter_model.safetensors"));
  const auto after = SafetensorsFile::Open(Path("update/adapter_model.safetensors"));
  ASSERT_TRUE(before.ok() && after.ok());
  EXPECT_EQ(before->ToManifest(), after->ToManifest());
  EXPECT_NE(*Sha256OfFile(Path("global/adapter_model.safetensors")),
            *Sha256OfFile(Path("update/adapter_model.safetensors")));
  EXPECT_EQ(*ReadFile(Path("global/adapter_config.json")),
            *ReadFile(Path("update/adapter_config.json")));
  EXPECT_THAT(Errors(), HasSubstr("BLAS"));
}

TEST_F(ProgramTest, TrainingTwiceGivesTheSameBytes) {
  WriteTinyTask(root_, task_);
  ASSERT_EQ(Run("train"), 0) << Errors();
  const Digest first = *Sha256OfFile(Path("update/adapter_model.safetensors"));
  ASSERT_TRUE(RemoveTree(Path("update")).ok());
  ASSERT_EQ(Run("train"), 0) << Errors();
  EXPECT_EQ(*Sha256OfFile(Path("update/adapter_model.safetensors")), first);
}

TEST_F(ProgramTest, KeptTokensGiveTheSameBytes) {
  WriteTinyTask(root_, task_);
  ASSERT_EQ(Run("train"), 0) << Errors();
  EXPECT_THAT(Errors(), HasSubstr("1 file tokenised, 0 kept"));
  const Digest without = *Sha256OfFile(Path("update/adapter_model.safetensors"));
  ASSERT_TRUE(MakeDirectories(Path("state")).ok());
  for (const char* said : {"1 file tokenised, 0 kept", "0 files tokenised, 1 kept"}) {
    ASSERT_TRUE(RemoveTree(Path("update")).ok());
    ASSERT_EQ(Run("train"), 0) << Errors();
    EXPECT_THAT(Errors(), HasSubstr(said));
    EXPECT_EQ(*Sha256OfFile(Path("update/adapter_model.safetensors")), without);
  }
  EXPECT_EQ(ListDirectory(Path("state/tokens"))->size(), 1U);
}

TEST_F(ProgramTest, AnUpdateThatIsThereStays) {
  WriteTinyTask(root_, task_);
  ASSERT_TRUE(MakeDirectories(Path("update")).ok());
  EXPECT_EQ(Run("train"), 0);
  EXPECT_THAT(Errors(), HasSubstr("already has its update"));
  EXPECT_TRUE(ListDirectory(Path("update"))->empty());
}

TEST_F(ProgramTest, TrainsAllWeights) {
  WriteTinyTask(root_, task_, AdapterKind::kFull);
  ASSERT_EQ(Run("train"), 0) << Errors();
  const auto after = SafetensorsFile::Open(Path("update/adapter_model.safetensors"));
  ASSERT_TRUE(after.ok()) << after.status();
  EXPECT_NE(after->Find("model.embed_tokens.weight"), nullptr);
}

TEST_F(ProgramTest, SigtermGivesAPartialUpdateWithTheStepsDone) {
  task_.training.steps = 1'000'000;
  WriteTinyTask(root_, task_);
  const pid_t child = Start("train");
  // Each of the first ten steps is a line, then about two a second: wait for progress, not for
  // time.
  while (!PathExists(Path("progress.jsonl")) || *FileSize(Path("progress.jsonl")) == 0) {
    ASSERT_EQ(waitpid(child, nullptr, WNOHANG), 0) << Errors();
    std::this_thread::yield();
  }
  kill(child, SIGTERM);
  ASSERT_EQ(Wait(child), 0) << Errors();
  const TaskResult result = ReadResult();
  EXPECT_EQ(result.completion, Completion::kPartial);
  EXPECT_GE(result.steps, 1);
  EXPECT_LT(result.steps, 1'000'000);
  EXPECT_EQ(result.samples, 2 * result.steps);
  EXPECT_THAT(result.message, HasSubstr("after " + std::to_string(result.steps) + " of 1000000"));

  // What it wrote is what that many steps give.
  const Digest partial = *Sha256OfFile(Path("update/adapter_model.safetensors"));
  task_.training.steps = result.steps;
  ASSERT_TRUE(RemoveTree(Path("update")).ok());
  ASSERT_TRUE(WriteFileAtomic(Path("task.json"), task_.ToJson()).ok());
  ASSERT_EQ(Run("train"), 0) << Errors();
  EXPECT_EQ(*Sha256OfFile(Path("update/adapter_model.safetensors")), partial);
}

// SIGKILL after some steps, and the job starts again: the bits of a run that nobody disturbed.
TEST_F(ProgramTest, KilledAndStartedAgainGivesTheSameBits) {
  ASSERT_EQ(setenv("TRIBUTARY_CHECKPOINT_STEPS", "7", 1), 0);
  task_.training.steps = 400;
  task_.training.schedule = "cosine";
  WriteTinyTask(root_, task_);
  ASSERT_EQ(Run("train"), 0) << Errors();
  const Digest undisturbed = *Sha256OfFile(Path("update/adapter_model.safetensors"));
  const TaskResult expected = ReadResult();
  int resumed = 0;
  for (const int lines : {1, 4, 9}) {
    ASSERT_TRUE(RemoveTree(Path("update")).ok());
    ASSERT_TRUE(RemoveFile(Path("progress.jsonl")).ok());
    const pid_t child = Start("train");
    const auto reported = [&] {
      const auto text = ReadFile(Path("progress.jsonl"));
      return text.ok() ? std::count(text->begin(), text->end(), '\n') : 0;
    };
    while (reported() < lines) std::this_thread::yield();
    kill(child, SIGKILL);
    resumed += Wait(child) == 0 ? 0 : 1;
    ASSERT_EQ(Run("train"), 0) << Errors();
    EXPECT_EQ(*Sha256OfFile(Path("update/adapter_model.safetensors")), undisturbed);
    const TaskResult result = ReadResult();
    EXPECT_EQ(result.steps, expected.steps);
    EXPECT_EQ(result.samples, expected.samples);
    EXPECT_EQ(result.tokens, expected.tokens);
    EXPECT_EQ(result.loss_first, expected.loss_first);
    EXPECT_EQ(result.loss_last, expected.loss_last);
    EXPECT_FALSE(PathExists(Path("checkpoint.safetensors")));
  }
  EXPECT_GT(resumed, 0);
  ASSERT_EQ(unsetenv("TRIBUTARY_CHECKPOINT_STEPS"), 0);
}

// Pretraining likewise, with signals that let it save where it is, and one that does not.
TEST_F(ProgramTest, PretrainingGoesOnAfterAnySignal) {
  ASSERT_EQ(setenv("TRIBUTARY_CHECKPOINT_STEPS", "5", 1), 0);
  const auto prepare = [&](const std::string& output) {
    const std::string text = R"({"model": {"hidden_size": 16, "layers": 1, "heads": 2,
      "intermediate_size": 24, "vocab_size": 270}, "training": {"steps": 1500, "batch_size": 4,
      "sequence_length": 32, "learning_rate": 0.02, "schedule": "cosine"}, "seed": 5,
      "data": ["text.jsonl"], "threads": 1, "output_path": ")" +
                             output + "\"}";
    ASSERT_TRUE(WriteFileAtomic(Path("pretrain.json"), text).ok());
  };
  ASSERT_TRUE(WriteFileAtomic(Path("text.jsonl"), "{\"text\": \"to be or not to be\"}\n").ok());
  prepare("whole");
  ASSERT_EQ(Run("pretrain"), 0) << Errors();
  for (const int number : {SIGTERM, SIGINT, SIGKILL}) {
    ASSERT_TRUE(RemoveFile(Path("progress.jsonl")).ok());
    prepare("after-" + std::to_string(number));
    const pid_t child = Start("pretrain");
    const auto began = [&] {
      const auto text = ReadFile(Path("progress.jsonl"));
      return text.ok() && text->find("\"step\":9,") != std::string::npos;
    };
    while (!began()) std::this_thread::yield();
    kill(child, number);
    EXPECT_EQ(Wait(child), number == SIGKILL ? 128 + SIGKILL : 1);
    EXPECT_TRUE(PathExists(Path("checkpoint.safetensors")));
    ASSERT_EQ(Run("pretrain"), 0) << Errors();
    EXPECT_THAT(Errors(), HasSubstr("going on after step"));
    EXPECT_EQ(*Sha256OfFile(Path("after-" + std::to_string(number) + "/model.safetensors")),
              *Sha256OfFile(Path("whole/model.safetensors")));
  }
  ASSERT_EQ(unsetenv("TRIBUTARY_CHECKPOINT_STEPS"), 0);
}

// Two processes with half of each batch against one with all of it.
TEST_F(ProgramTest, TwoProcessesGiveWhatOneGives) {
  task_.training.steps = 10;
  task_.training.batch_size = 4;
  task_.training.gradient_accumulation = 2;
  WriteTinyTask(root_, task_);
  const std::string config = Path("global/adapter_config.json");
  auto adapter = AdapterConfig::FromPeftJson(*ReadFile(config));
  ASSERT_TRUE(adapter.ok());
  adapter->dropout = 0;  // masks follow the rows of a process
  ASSERT_TRUE(WriteFileAtomic(config, adapter->ToPeftJson()).ok());
  ASSERT_EQ(Run("train"), 0) << Errors();
  const auto weights = [&] {
    return std::move(LoadWeights(Path("update/adapter_model.safetensors"), at::kFloat)).value();
  };
  NamedTensors alone = weights();
  for (auto& [name, tensor] : alone) tensor = tensor.clone();
  const TaskResult expected = ReadResult();
  ASSERT_TRUE(RemoveTree(Path("update")).ok());

  ASSERT_EQ(setenv("WORLD_SIZE", "2", 1), 0);
  ASSERT_EQ(setenv("MASTER_PORT", std::to_string(20'000 + getpid() % 12'000).c_str(), 1), 0);
  std::vector<pid_t> processes;
  for (const char* rank : {"0", "1"}) {
    ASSERT_EQ(setenv("RANK", rank, 1), 0);
    processes.push_back(Start("train"));
  }
  for (const pid_t process : processes) EXPECT_EQ(Wait(process), 0) << Errors();
  for (const char* name : {"WORLD_SIZE", "MASTER_PORT", "RANK"}) ASSERT_EQ(unsetenv(name), 0);
  for (const auto& [name, tensor] : weights()) {
    const at::Tensor difference = (tensor - alone.find(name)->second).abs();
    EXPECT_LT(difference.max().item<float>(), 1e-5F) << name;
  }
  const TaskResult result = ReadResult();
  EXPECT_EQ(result.samples, expected.samples);
  EXPECT_EQ(result.tokens, expected.tokens);
  EXPECT_NEAR(result.loss_last, expected.loss_last, 1e-5);
}

TEST_F(ProgramTest, EvaluateEqualsThePlainReference) {
  task_.kind = TaskKind::kEvaluate;
  task_.evaluation_batch_size = 2;
  WriteTinyTask(root_, task_);
  ASSERT_EQ(Run("evaluate"), 0) << Errors();
  const TaskResult result = ReadResult();
  EXPECT_EQ(result.samples, 5);
  EXPECT_FALSE(PathExists(Path("update/adapter_model.safetensors")));

  // One token for each byte (2 + byte), between <s> = 0 and </s> = 1.
  const std::vector<std::pair<std::string, std::string>> texts = {
      {"Define: water\n", "a clear liquid"},
      {"Define: ice\n", "water that is solid"},
      {"", "steam is hot"},
      {"Define: snow\n", "soft white ice"},
      {"Define: rain\n", "water from the sky"},
  };
  double loss = 0;
  std::int64_t tokens = 0;
  for (const auto& [prompt, completion] : texts) {
    std::vector<std::int32_t> ids = {0};
    for (const char c : prompt + completion) ids.push_back(2 + static_cast<unsigned char>(c));
    ids.push_back(1);
    const auto from = static_cast<std::int64_t>(prompt.size()) + 1;
    loss += reference::LossSum(reference::Logits(Path("model"), ids, Path("global")), ids, from);
    tokens += static_cast<std::int64_t>(ids.size()) - from;
  }
  EXPECT_EQ(result.tokens, tokens);
  const double mean = loss / static_cast<double>(tokens);
  EXPECT_NEAR(result.metrics.at("loss/tiny"), mean, 1e-5);
  EXPECT_NEAR(result.metrics.at("perplexity/tiny"), std::exp(result.metrics.at("loss/tiny")), 1e-9);
}

TEST_F(ProgramTest, BadTaskFilesGiveAFailedResultWithAllReasons) {
  ASSERT_TRUE(WriteFileAtomic(Path("task.json"), R"({"schema": 1, "kind": "train"})").ok());
  EXPECT_EQ(Run("train"), 1);
  const TaskResult result = ReadResult();
  EXPECT_EQ(result.completion, Completion::kFailed);
  EXPECT_THAT(result.message, HasSubstr("model_path"));
  EXPECT_THAT(result.message, HasSubstr("seed"));
  EXPECT_THAT(Errors(), HasSubstr("model_path"));
}

TEST_F(ProgramTest, ADamagedModelGivesAFailedResult) {
  WriteTinyTask(root_, task_);
  std::string bytes = *ReadFile(Path("model/model.safetensors"));
  bytes.resize(bytes.size() / 2);
  ASSERT_TRUE(WriteFileAtomic(Path("model/model.safetensors"), bytes).ok());
  EXPECT_EQ(Run("train"), 1);
  const TaskResult result = ReadResult();
  EXPECT_EQ(result.completion, Completion::kFailed);
  EXPECT_THAT(result.message, HasSubstr("model.safetensors"));
  EXPECT_FALSE(PathExists(Path("update/adapter_model.safetensors")));
}

TEST_F(ProgramTest, ADeviceThatIsNotThereFailsTheTask) {
  if (DevicesText() != "cpu") GTEST_SKIP() << "this machine has CUDA devices";
  WriteTinyTask(root_, task_);
  ASSERT_EQ(setenv("TRIBUTARY_DEVICE", "cuda", 1), 0);
  EXPECT_EQ(Run("train"), 1);
  ASSERT_EQ(unsetenv("TRIBUTARY_DEVICE"), 0);
  EXPECT_EQ(ReadResult().completion, Completion::kFailed);
  EXPECT_THAT(ReadResult().message, HasSubstr("finds no CUDA device"));
}

TEST_F(ProgramTest, TrainsInBf16WhereTheSiteSaysSo) {
  WriteTinyTask(root_, task_);
  ASSERT_EQ(setenv("TRIBUTARY_COMPUTE", "bf16", 1), 0);
  EXPECT_EQ(Run("train"), 0) << Errors();
  const TaskResult rounded = ReadResult();
  EXPECT_EQ(rounded.completion, Completion::kComplete);
  EXPECT_LT(rounded.loss_last, rounded.loss_first);
  ASSERT_EQ(unsetenv("TRIBUTARY_COMPUTE"), 0);
  ASSERT_TRUE(RemoveTree(Path("update")).ok());
  ASSERT_EQ(Run("train"), 0) << Errors();
  EXPECT_NE(ReadResult().loss_last, rounded.loss_last);
  EXPECT_NEAR(ReadResult().loss_last, rounded.loss_last, 0.03 * rounded.loss_last);
}

TEST_F(ProgramTest, TrainsAndEvaluatesOverAnInt8Base) {
  task_.training.base_precision = "int8";
  task_.training.gradient_checkpointing = true;
  WriteTinyTask(root_, task_);
  ASSERT_EQ(Run("train"), 0) << Errors();
  const TaskResult trained = ReadResult();
  EXPECT_EQ(trained.completion, Completion::kComplete);
  EXPECT_LT(trained.loss_last, trained.loss_first);
  ASSERT_TRUE(RemoveTree(Path("update")).ok());
  task_.kind = TaskKind::kEvaluate;
  ASSERT_TRUE(WriteFileAtomic(Path("task.json"), task_.ToJson()).ok());
  ASSERT_EQ(Run("evaluate"), 0) << Errors();
  const double int8 = ReadResult().metrics.at("loss/tiny");
  ASSERT_TRUE(RemoveTree(Path("update")).ok());
  task_.training.base_precision = "fp32";
  ASSERT_TRUE(WriteFileAtomic(Path("task.json"), task_.ToJson()).ok());
  ASSERT_EQ(Run("evaluate"), 0) << Errors();
  const double fp32 = ReadResult().metrics.at("loss/tiny");
  EXPECT_NE(int8, fp32);  // it was taken
  EXPECT_NEAR(int8, fp32, 0.01 * fp32);
}

TEST_F(ProgramTest, ATaskOfTheOtherKindIsRefused) {
  WriteTinyTask(root_, task_);
  EXPECT_EQ(Run("evaluate"), 1);
  EXPECT_THAT(ReadResult().message, HasSubstr("run tributary-trainer train"));
}

TEST_F(ProgramTest, LeftoversOfAKilledTrainerAreRemoved) {
  WriteTinyTask(root_, task_);
  ASSERT_TRUE(MakeDirectories(Path("update.tmp-abcdef")).ok());
  ASSERT_EQ(Run("train"), 0) << Errors();
  EXPECT_FALSE(PathExists(Path("update.tmp-abcdef")));
}

}  // namespace
}  // namespace tributary::trainer

#include "client/task_workspace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <set>

#include "core/peft_adapter.h"
#include "tests/core/test_files.h"

namespace tributary::client {
namespace {

using testing::ElementsAre;

class TaskWorkspaceTest : public testing::Test {
 protected:
  TaskWorkspaceTest() {
    offer_.set_campaign("chem");
    offer_.set_model("base");
    offer_.set_train_data("notes");
    offer_.add_evaluation_data("heldout");
    offer_.add_evaluation_data("notes");
    offer_.set_adapter_config_json(AdapterConfig().ToPeftJson());
    v1::TensorInfo* tensor = offer_.add_manifest();
    tensor->set_name("w");
    tensor->set_dtype("F32");
    tensor->add_shape(1);
    WriteFloats(directory_ / "version", {{"w", {1}}});
    version_ = *ReadFile(directory_ / "version");
    policy_.models = {{"base", "/models/base"}};
    policy_.data = {{"notes", "/data/notes.jsonl"}, {"heldout", "/data/heldout.jsonl"}};
    task_.set_task("chem.r2.a.t1");
    task_.set_campaign("chem");
    task_.set_kind(v1::TASK_KIND_TRAIN);
    task_.set_round(2);
    task_.set_global_version(1);
    task_.set_global_digest(std::string(64, 'a'));
    task_.set_seed(INT64_MAX);
    task_.set_walltime_seconds(600);
    v1::Training* training = task_.mutable_training();
    training->set_steps(5);
    training->set_batch_size(2);
    training->set_gradient_accumulation(3);
    training->set_sequence_length(128);
    training->set_learning_rate(0.003);
    training->set_learning_rate_scale(0.5);
    training->set_schedule("cosine");
    training->set_warmup_steps(1);
    training->set_weight_decay(0.1);
    training->set_beta1(0.8);
    training->set_beta2(0.99);
    training->set_epsilon(1e-6);
    training->set_max_grad_norm(2);
    training->set_gradient_checkpointing(true);
    training->set_base_precision("stored");
    task_.set_evaluation_batch_size(4);
    task_.set_evaluation_max_examples(9);
    task_.set_evaluation_answer_tokens(12);
    task_.set_chat_template("chatml");
    task_.set_max_bad_lines(6);
  }
  TaskWorkspace Make() const { return {directory_.path(), task_}; }
  // A workspace whose version has been downloaded.
  TaskWorkspace Stage() {
    TaskWorkspace workspace = Make();
    EXPECT_TRUE(workspace.Create().ok());
    EXPECT_TRUE(Download(workspace).ok());
    const Status status = workspace.Stage(offer_, MakeTaskFile(offer_, task_, policy_, "a", 3));
    EXPECT_TRUE(status.ok()) << status;
    return workspace;
  }
  Status Download(const TaskWorkspace& workspace) const {
    const auto needs = workspace.Needs();
    for (const NeededFile& file : *needs) {
      const std::string partial = file.shared + "-" + task_.task();
      TRIBUTARY_RETURN_IF_ERROR(WriteFileAtomic(partial, version_));
      TRIBUTARY_RETURN_IF_ERROR(workspace.Keep(file, partial));
    }
    return OkStatus();
  }
  TaskFile ReadTaskFile() const {
    const auto text = ReadFile(directory_ / "chem/" + task_.task() + "/task.json");
    EXPECT_TRUE(text.ok()) << text.status();
    const auto file = TaskFile::FromJson(*text);
    EXPECT_TRUE(file.ok()) << file.status();
    return file.ok() ? *file : TaskFile();
  }

  const TestDirectory directory_;
  std::string version_;  // a version's bytes
  v1::CampaignOffer offer_;
  v1::TaskAssignment task_;
  PolicySection policy_;
};

TEST_F(TaskWorkspaceTest, VersionsAreSharedByTasksAndRemovedUnderNobody) {
  const TaskWorkspace first = Make();
  ASSERT_TRUE(first.Create().ok());
  EXPECT_FALSE(*first.Take(first.Needs()->at(0)));
  ASSERT_TRUE(Download(first).ok());
  task_.set_task("chem.r1.a.e1");
  const TaskWorkspace second = Make();
  ASSERT_TRUE(second.Create().ok());
  EXPECT_TRUE(*second.Take(second.Needs()->at(0)));
  EXPECT_TRUE(*second.Take(second.Needs()->at(0)));  // after a restart
  ASSERT_TRUE(RemoveFile(first.Needs()->at(0).shared).ok());
  ASSERT_TRUE(first.Remove().ok());
  EXPECT_EQ(*ReadFile(second.Start().Version()), version_);
  task_.set_task("chem.r2.a.t1");
  const TaskWorkspace third = Make();
  ASSERT_TRUE(third.Create().ok());
  EXPECT_FALSE(*third.Take(third.Needs()->at(0)));  // downloads again
  ASSERT_TRUE(Download(third).ok());
  EXPECT_EQ(*ReadFile(third.Start().Version()), version_);
}

TEST_F(TaskWorkspaceTest, NoPathIsMadeOfADigestOrANameThatIsNone) {
  EXPECT_TRUE(Make().Needs().ok());
  for (const std::string& digest :
       {std::string(), std::string("../../.bashrc"), std::string(64, 'A'), std::string(64, '/'),
        std::string(63, 'a') + '\0'}) {
    v1::TaskAssignment good = std::exchange(task_, task_);
    task_.set_global_digest(digest);
    EXPECT_EQ(Make().Needs().status().code(), StatusCode::kInvalidArgument) << digest;
    task_ = good;
    task_.add_merged()->set_digest(digest);
    EXPECT_EQ(Make().Needs().status().code(), StatusCode::kInvalidArgument) << digest;
    task_ = good;
    (*task_.mutable_server_state())["control"].set_digest(digest);
    EXPECT_EQ(Make().Needs().status().code(), StatusCode::kInvalidArgument) << digest;
    task_ = good;
  }
  (*task_.mutable_server_state())["../x"].set_digest(std::string(64, 'a'));
  EXPECT_EQ(Make().Needs().status().code(), StatusCode::kInvalidArgument);
}

TEST_F(TaskWorkspaceTest, StagesWhatATrainerNeeds) {
  const TaskWorkspace workspace = Stage();
  EXPECT_EQ(workspace.directory(), directory_ / "chem/chem.r2.a.t1");
  EXPECT_EQ(*ReadFile(workspace.GlobalPath()), version_);
  EXPECT_EQ(*ReadFile(workspace.directory() + "/global/adapter_config.json"),
            AdapterConfig().ToPeftJson());
  EXPECT_TRUE(PathExists(workspace.directory() + "/state/."));
  struct stat info {};
  ASSERT_EQ(stat(workspace.directory().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0700U);
}

TEST_F(TaskWorkspaceTest, TheTaskFileSaysWhatTheServerAskedAndTheSiteMapped) {
  Stage();
  const TaskFile file = ReadTaskFile();
  EXPECT_EQ(file.kind, TaskKind::kTrain);
  EXPECT_EQ(file.task, "chem.r2.a.t1");
  EXPECT_EQ(file.campaign, "chem");
  EXPECT_EQ(file.site, "a");
  EXPECT_EQ(file.round, 2);
  EXPECT_EQ(file.global_version, 1);
  EXPECT_EQ(file.seed, static_cast<std::uint64_t>(INT64_MAX));
  EXPECT_EQ(file.model_path, "/models/base");
  ASSERT_EQ(file.data.size(), 1u);
  EXPECT_EQ(file.data[0].name, "notes");
  EXPECT_EQ(file.data[0].path, "/data/notes.jsonl");
  EXPECT_EQ(file.threads, 3);
  EXPECT_EQ(file.walltime_seconds, 600);
  EXPECT_EQ(file.training.steps, 5);
  EXPECT_EQ(file.training.batch_size, 2);
  EXPECT_EQ(file.training.gradient_accumulation, 3);
  EXPECT_EQ(file.training.sequence_length, 128);
  EXPECT_EQ(file.training.learning_rate, 0.003);
  EXPECT_EQ(file.training.learning_rate_scale, 0.5);
  EXPECT_EQ(file.training.schedule, "cosine");
  EXPECT_EQ(file.training.warmup_steps, 1);
  EXPECT_EQ(file.training.weight_decay, 0.1);
  EXPECT_EQ(file.training.beta1, 0.8);
  EXPECT_EQ(file.training.beta2, 0.99);
  EXPECT_EQ(file.training.epsilon, 1e-6);
  EXPECT_EQ(file.training.max_grad_norm, 2);
  EXPECT_TRUE(file.training.gradient_checkpointing);
  EXPECT_EQ(file.training.base_precision, "stored");
  EXPECT_EQ(file.data[0].chat_template, "chatml");
}

TEST_F(TaskWorkspaceTest, AnEvaluationGetsTheHeldOutData) {
  task_.set_task("chem.r2.a.e1");
  task_.set_kind(v1::TASK_KIND_EVALUATE);
  Stage();
  const TaskFile file = ReadTaskFile();
  EXPECT_EQ(file.kind, TaskKind::kEvaluate);
  EXPECT_EQ(file.training.base_precision, "stored");
  ASSERT_EQ(file.data.size(), 2u);
  EXPECT_EQ(file.data[0].name, "heldout");
  EXPECT_EQ(file.data[1].path, "/data/notes.jsonl");
  EXPECT_EQ(file.evaluation_batch_size, 4);
  EXPECT_EQ(file.evaluation_max_examples, 9);
  EXPECT_EQ(file.evaluation_answer_tokens, 12);
  EXPECT_EQ(file.data[1].chat_template, "chatml");
  EXPECT_EQ(file.data[1].max_bad_lines, 6);
}

TEST_F(TaskWorkspaceTest, StagingAgainKeepsAnUpdateOfAnEarlierLife) {
  const TaskWorkspace workspace = Stage();
  ASSERT_TRUE(MakeDirectories(workspace.directory() + "/update").ok());
  ASSERT_TRUE(WriteFileAtomic(workspace.TrainedPath(), "trained").ok());
  ASSERT_TRUE(workspace.Create().ok());
  ASSERT_TRUE(workspace.Stage(offer_, MakeTaskFile(offer_, task_, policy_, "a", 3)).ok());
  EXPECT_EQ(*ReadFile(workspace.TrainedPath()), "trained");
}

TEST_F(TaskWorkspaceTest, StateOutlivesATask) {
  const TaskWorkspace workspace = Stage();
  ASSERT_TRUE(WriteFileAtomic(workspace.directory() + "/state/optimizer", "momentum").ok());
  ASSERT_TRUE(workspace.Remove().ok());
  EXPECT_FALSE(PathExists(workspace.directory()));
  EXPECT_EQ(*ReadFile(workspace.Needs()->at(0).shared), version_);
  task_.set_task("chem.r3.a.t1");
  EXPECT_EQ(*ReadFile(Stage().directory() + "/state/optimizer"), "momentum");
}

TEST_F(TaskWorkspaceTest, ReadsResultAndErrorTail) {
  const TaskWorkspace workspace = Stage();
  EXPECT_EQ(workspace.ReadResult().status().code(), StatusCode::kNotFound);
  EXPECT_EQ(workspace.ErrorTail(), "");
  TaskResult result;
  result.samples = 7;
  ASSERT_TRUE(MakeDirectories(workspace.directory() + "/update").ok());
  ASSERT_TRUE(WriteFileAtomic(workspace.directory() + "/update/result.json", result.ToJson()).ok());
  EXPECT_EQ(workspace.ReadResult()->samples, 7);
  ASSERT_TRUE(
      WriteFileAtomic(workspace.directory() + "/job.err", std::string(10000, 'x') + "out of memory")
          .ok());
  EXPECT_EQ(workspace.ErrorTail().size(), 4096u);
  EXPECT_THAT(workspace.ErrorTail(), testing::EndsWith("out of memory"));
  ASSERT_TRUE(WriteFileAtomic(workspace.directory() + "/update/result.json", "{").ok());
  EXPECT_FALSE(workspace.ReadResult().ok());
}

}  // namespace
}  // namespace tributary::client

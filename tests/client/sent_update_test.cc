#include "client/sent_update.h"

#include <gtest/gtest.h>

#include "core/files.h"
#include "tests/client/server_messages.h"
#include "tests/core/test_files.h"

namespace tributary::client {
namespace {

class SentUpdateTest : public testing::Test {
 protected:
  // A task whose update `bytes` was sent and counts.
  void Keep(const v1::TaskAssignment& task, const std::string& bytes) {
    const TaskWorkspace workspace(directory_.path(), task);
    ASSERT_TRUE(workspace.Create().ok());
    ASSERT_TRUE(WriteFileAtomic(workspace.DeltaPath(), bytes).ok());
    v1::Statement statement;
    statement.set_task(task.task());
    statement.set_kind(task.kind());
    statement.set_digest(Sha256Of(bytes).ToHex());
    statement.set_samples(7);
    statement.set_node_seconds(60);
    const Status kept = KeepSent(workspace, task, statement);
    ASSERT_TRUE(kept.ok()) << kept;
    ASSERT_TRUE(workspace.Remove().ok());
  }
  std::optional<v1::Statement> Find(const v1::TaskAssignment& task) {
    return FindSent(TaskWorkspace(directory_.path(), task), task);
  }

  const TestDirectory directory_;
};

TEST_F(SentUpdateTest, TheSameWorkUnderAnotherAttemptIsAnsweredWithTheSameBits) {
  const v1::TaskAssignment first = HonestTask();
  EXPECT_FALSE(Find(first)) << "nothing was sent";
  Keep(first, "bits");
  v1::TaskAssignment again = first;
  again.set_task("chem.r1.a.t2");
  again.set_delay_seconds(10);
  const auto statement = Find(again);
  ASSERT_TRUE(statement);
  EXPECT_EQ(statement->task(), again.task());
  EXPECT_EQ(statement->samples(), 7);
  EXPECT_EQ(statement->node_seconds(), 0) << "its job was charged once";
  EXPECT_EQ(*ReadFile(TaskWorkspace(directory_.path(), again).DeltaPath()), "bits");
  EXPECT_TRUE(Find(again)) << "and once more";
}

TEST_F(SentUpdateTest, OtherWorkIsDone) {
  Keep(HonestTask(), "bits");
  v1::TaskAssignment other = HonestTask();
  other.set_seed(1);
  EXPECT_FALSE(Find(other));
  other = HonestTask();
  other.mutable_training()->set_steps(6);
  EXPECT_FALSE(Find(other));
  other.set_round(2);
  Keep(other, "later");
  EXPECT_TRUE(Find(other));
  EXPECT_FALSE(Find(HonestTask())) << "only the last one is kept";
}

TEST_F(SentUpdateTest, WhatIsNotWhatItWasIsMadeAgain) {
  Keep(HonestTask(), "bits");
  const std::string kept = directory_ / "chem/sent.safetensors";
  ASSERT_TRUE(WriteFileAtomic(kept, "bots").ok());
  EXPECT_FALSE(Find(HonestTask()));
  ASSERT_TRUE(RemoveFile(kept).ok());
  EXPECT_FALSE(Find(HonestTask()));
  ASSERT_TRUE(WriteFileAtomic(directory_ / "chem/sent.report", "\xff").ok());
  EXPECT_FALSE(Find(HonestTask()));
}

}  // namespace
}  // namespace tributary::client

#include "client/site_adapter.h"

#include <gtest/gtest.h>

#include "core/files.h"
#include "core/peft_adapter.h"
#include "tests/core/test_files.h"

namespace tributary::client {
namespace {

// A campaign that was submitted again is another one, and its adapter is the only copy.
TEST(SiteAdapterTest, EveryCampaignsIsListedAlsoOneThatWasSubmittedAgain) {
  const TestDirectory directory;
  for (const std::string campaign : {"chem", "chem@2"}) {
    v1::TaskAssignment task;
    task.set_campaign(campaign);
    task.set_task(campaign + ".r1.a.t1");
    task.set_kind(v1::TASK_KIND_TRAIN);
    task.set_global_version(4);
    const TaskWorkspace workspace(directory.path(), task);
    ASSERT_TRUE(workspace.Create().ok());
    ASSERT_TRUE(MakeDirectories(workspace.directory() + "/update").ok());
    ASSERT_TRUE(WriteFileAtomic(workspace.TrainedPath(), campaign).ok());
    ASSERT_TRUE(WriteFileAtomic(
                    workspace.directory() + "/global/" + std::string(kAdapterConfigFile), "{}")
                    .ok());
    TaskResult result;
    result.metrics["loss/a"] = 0.5;
    const Status kept = KeepSiteAdapter(directory.path(), task, workspace, result);
    ASSERT_TRUE(kept.ok()) << kept;
  }
  ASSERT_TRUE(MakeDirectories(SiteAdapterDirectory(directory.path(), "half.new")).ok());
  const auto adapters = ListSiteAdapters(directory.path());
  ASSERT_TRUE(adapters.ok()) << adapters.status();
  ASSERT_EQ(adapters->size(), 2u);
  for (const SiteAdapter& adapter : *adapters) {
    EXPECT_EQ(*ReadFile(JoinPath(adapter.directory, kAdapterWeightsFile)), adapter.campaign);
    EXPECT_EQ(adapter.version, 4);
    EXPECT_EQ(adapter.metrics.at("loss/a"), 0.5);
  }
}

}  // namespace
}  // namespace tributary::client

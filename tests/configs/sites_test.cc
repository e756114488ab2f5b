// The files for known machines: each loads, renders to a script that bash takes, and allows little.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "client/client_config.h"
#include "client/job_rendering.h"
#include "core/clock.h"
#include "core/files.h"
#include "scheduler_adapters/command_runner.h"
#include "scheduler_adapters/scheduler_adapter.h"
#include "tests/core/test_files.h"

namespace tributary::client {
namespace {

using testing::AnyOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

std::string SitesDirectory() { return JoinPath(TRIBUTARY_CONFIGS_DIR, "sites"); }

std::string Text(const std::string& path) {
  const auto text = ReadFile(path);
  EXPECT_TRUE(text.ok()) << text.status();
  return text.ok() ? *text : "";
}

std::vector<std::string> SiteFiles() {
  auto names = ListDirectory(SitesDirectory());
  if (!names.ok()) return {};  // AllAreThere fails then
  std::erase_if(*names, [](const std::string& name) { return !name.ends_with(".yaml"); });
  std::sort(names->begin(), names->end());
  return *names;
}

// A case's name: letters and digits only.
std::string CaseName(const testing::TestParamInfo<std::string>& file) {
  std::string name;
  for (const char c : file.param.substr(0, file.param.rfind('.'))) {
    name += c == '-' ? '_' : c;
  }
  return name;
}

class SiteFileTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    auto config = LoadClientConfig(JoinPath(SitesDirectory(), GetParam()));
    ASSERT_TRUE(config.ok()) << config.status();
    config_ = *std::move(config);
    config_.scheduler.state_directory = scratch_ / "jobs";  // not in the source tree
    config_.scheduler.supervisor_command = {"/bin/true"};
  }

  const TestDirectory scratch_;
  const SystemClock clock_{};
  ClientConfig config_;
};

TEST_P(SiteFileTest, NamesAKnownAdapter) {
  EXPECT_THAT(config_.scheduler.adapter, AnyOf("local", "slurm", "pbs"));
}

TEST_P(SiteFileTest, SaysWhereItsFactsComeFromAndWhatToChange) {
  const std::string text = Text(JoinPath(SitesDirectory(), GetParam()));
  EXPECT_THAT(text, HasSubstr("\n# Source: "));
  EXPECT_THAT(text, HasSubstr("# CHANGE"));
}

TEST_P(SiteFileTest, TheReadmeListsIt) {
  EXPECT_THAT(Text(JoinPath(SitesDirectory(), "README.md")), HasSubstr("| `" + GetParam() + "` |"));
}

TEST_P(SiteFileTest, AllowsLittle) {
  ASSERT_TRUE(config_.policy);
  const PolicySection& policy = *config_.policy;
  for (const std::vector<std::string>* names : {&policy.campaigns, &policy.leads}) {
    EXPECT_THAT(*names, Not(IsEmpty()));
    for (const std::string& name : *names) EXPECT_THAT(name, Not(HasSubstr("*")));
  }
  EXPECT_THAT(policy.models, Not(IsEmpty()));
  EXPECT_THAT(policy.data, Not(IsEmpty()));
  EXPECT_EQ(policy.error_tail, 0);
  EXPECT_GT(config_.allocation.per_campaign, 0);
  EXPECT_GE(config_.allocation.total, config_.allocation.per_campaign);
}

TEST_P(SiteFileTest, ItsJobsAreWellFormed) {
  for (const char* const kind : {"train", "evaluate"}) {
    const scheduler_adapters::JobSpec spec = SampleJob(config_, kind);
    const Status status = scheduler_adapters::CheckJobSpec(spec);
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_GT(spec.warning_before.count(), 0) << "no partial updates";
    ASSERT_GE(spec.command.size(), 3U);
    EXPECT_EQ(spec.command[spec.command.size() - 3], kind);
    EXPECT_EQ(spec.command.back(), spec.working_directory);
  }
}

TEST_P(SiteFileTest, BashAcceptsTheRenderedScript) {
  const auto adapter = scheduler_adapters::MakeSchedulerAdapter(config_.scheduler, clock_);
  ASSERT_TRUE(adapter.ok()) << adapter.status();
  const std::string script = (*adapter)->Render(SampleJob(config_, "train"));
  const std::string_view mark = config_.scheduler.adapter == "slurm" ? "#SBATCH " : "#PBS ";
  for (const std::string& directive : config_.job.directives) {
    EXPECT_THAT(script, HasSubstr("\n" + std::string(mark) + directive + "\n"));
  }
  for (const std::string& line : config_.job.setup) {
    EXPECT_THAT(script, HasSubstr("\n" + line + "\n"));
  }
  const std::string path = scratch_ / "job.sh";
  ASSERT_TRUE(WriteFileAtomic(path, script, 0700).ok());
  scheduler_adapters::CommandRunner runner(scheduler_adapters::CommandRunnerOptions{});
  const auto result = runner.Run({"/bin/bash", "-n", path});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_TRUE(result->ok()) << result->Summary() << "\n" << script;
}

INSTANTIATE_TEST_SUITE_P(Machines, SiteFileTest, testing::ValuesIn(SiteFiles()), CaseName);

// One file for each machine that the documentation promises.
TEST(SiteFilesTest, AllAreThere) {
  EXPECT_THAT(SiteFiles(),
              testing::ElementsAre("alcf-aurora.yaml", "alcf-polaris.yaml", "alcf-sophia.yaml",
                                   "cerebras-cs3.yaml", "dgx-slurm.yaml", "graphcore.yaml",
                                   "groq.yaml", "nersc-perlmutter.yaml", "olcf-frontier.yaml",
                                   "sambanova.yaml", "sdsc-expanse.yaml", "workstation.yaml"));
}

}  // namespace
}  // namespace tributary::client

#include "scheduler_adapters/scheduler_adapter.h"

#include <gtest/gtest.h>

namespace tributary::scheduler_adapters {
namespace {

JobSpec GoodSpec() {
  JobSpec spec;
  spec.name = "chem-lora.r3_alpha";
  spec.working_directory = spec.stdout_path = spec.stderr_path = "/tmp";
  spec.command = {"/bin/true", ""};
  return spec;
}

TEST(JobSpecTest, GoodSpecsPass) {
  EXPECT_TRUE(CheckJobSpec(GoodSpec()).ok());
  JobSpec spec = GoodSpec();
  spec.walltime = std::chrono::seconds(10);
  spec.warning_before = std::chrono::seconds(9);
  spec.name = std::string(64, 'x');
  EXPECT_TRUE(CheckJobSpec(spec).ok());
}

TEST(JobSpecTest, AllProblemsAreNamedAtOnce) {
  JobSpec spec = GoodSpec();
  spec.name = ".hidden";
  spec.command = {"true", std::string("a\0b", 3)};
  spec.cpus = 0;
  spec.warning_before = std::chrono::seconds(5);
  spec.environment = {{"A=B", "x"}};
  EXPECT_EQ(CheckJobSpec(spec).message(),
            "job .hidden: the name must be 1 to 64 of A-Z, a-z, 0-9, _ . -, not starting with .; "
            "the command must start with an absolute path; an argument has a zero byte; "
            "environment variable \"A=B\" is not allowed; cpus must be at least 1; "
            "the warning must come within the walltime");
}

TEST(JobSpecTest, NamesThatCouldLeaveADirectoryAreRefused) {
  for (const std::string name : {"", ".", "..", "a/b", "../x", "a b", "a\n", "\xC3\xA9"}) {
    JobSpec spec = GoodSpec();
    spec.name = name;
    EXPECT_FALSE(CheckJobSpec(spec).ok()) << name;
  }
}

TEST(JobStateTest, TerminalStatesAreTheEnds) {
  EXPECT_FALSE(IsTerminal(JobState::kQueued));
  EXPECT_FALSE(IsTerminal(JobState::kHeld));
  EXPECT_FALSE(IsTerminal(JobState::kRunning));
  EXPECT_FALSE(IsTerminal(JobState::kUnknown));
  EXPECT_TRUE(IsTerminal(JobState::kCompleted));
  EXPECT_TRUE(IsTerminal(JobState::kOutOfMemory));
  EXPECT_EQ(JobStateName(JobState::kOutOfMemory), "out of memory");
  EXPECT_EQ(JobStateName(JobState::kUnknown), "unknown");
}

TEST(SchedulerFactoryTest, UnknownNamesListTheKnownOnes) {
  const SystemClock clock;
  SchedulerOptions options;
  options.adapter = "loacl";
  EXPECT_EQ(MakeSchedulerAdapter(options, clock).status().message(),
            "scheduler.adapter: \"loacl\" is not known; must be one of local, slurm, pbs");
  EXPECT_EQ(SchedulerAdapterNames(), (std::vector<std::string>{"local", "slurm", "pbs"}));
}

TEST(SchedulerFactoryTest, LocalNeedsADirectoryAndASupervisor) {
  const SystemClock clock;
  SchedulerOptions options;
  options.state_directory = "relative";
  EXPECT_EQ(MakeSchedulerAdapter(options, clock).status().message(),
            "scheduler.state_directory: \"relative\" must be an absolute path");
  options.state_directory = testing::TempDir() + "/state";
  EXPECT_EQ(MakeSchedulerAdapter(options, clock).status().message(),
            "the local adapter needs the absolute path of its supervisor");
}

}  // namespace
}  // namespace tributary::scheduler_adapters

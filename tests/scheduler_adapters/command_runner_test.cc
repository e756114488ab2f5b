#include "scheduler_adapters/command_runner.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <thread>

#include "core/files.h"

namespace tributary::scheduler_adapters {
namespace {

CommandResult Shell(const std::string& line, CommandRunnerOptions options = {}) {
  return *CommandRunner(std::move(options)).Run({"/bin/bash", "-c", line});
}

TEST(CommandRunnerTest, KeepsOutputErrorsAndExitStatus) {
  const CommandResult result = Shell("echo out; echo err >&2; exit 5");
  EXPECT_EQ(result.out, "out\n");
  EXPECT_EQ(result.err, "err\n");
  EXPECT_EQ(result.exit_status, 5);
  EXPECT_FALSE(result.ok());
  EXPECT_NE(result.Summary().find("5"), std::string::npos);
  EXPECT_NE(result.Summary().find("err"), std::string::npos);
  EXPECT_TRUE(Shell("true").ok());
  EXPECT_EQ(Shell("kill -9 $$").exit_status, 128 + SIGKILL);
}

TEST(CommandRunnerTest, ArgumentsAreNotReadByAShell) {
  CommandRunner runner({});
  EXPECT_EQ(runner.Run({"printf", "%s", "$(echo no); *"})->out, "$(echo no); *");
}

// Of a program, also a child in a session of its own, as launchers make them. Of a scheduler's
// command that may be a job.
struct Hung {
  std::string prefix;
  bool whole_tree = false, lives = false;
};
class HungCommandTest : public testing::TestWithParam<Hung> {};
INSTANTIATE_TEST_SUITE_P(Children, HungCommandTest,
                         testing::Values(Hung{""}, Hung{"setsid ", true},
                                         Hung{"setsid ", false, true}));

TEST_P(HungCommandTest, IsKilledWithItsChildren) {
  const auto scratch = *TemporaryDirectory::Create("runner-");
  const std::string pid_file = scratch.path() + "/pid";
  const CommandResult result = Shell(
      GetParam().prefix + "bash -c 'echo $$ > " + pid_file + "; exec sleep 1000' & wait",
      {.timeout = std::chrono::milliseconds(1000), .whole_tree = GetParam().whole_tree});
  EXPECT_TRUE(result.timed_out);
  EXPECT_NE(result.Summary().find("time limit"), std::string::npos);
  ASSERT_TRUE(PathExists(pid_file));
  const pid_t pid = std::stoi(*ReadFile(pid_file));
  const std::string stat_file = "/proc/" + std::to_string(pid) + "/stat";
  // Gone, or a zombie until its new parent reaps it.
  const auto runs = [&] {
    const auto stat = ReadFile(stat_file);
    return stat.ok() && stat->find(") Z") == std::string::npos;
  };
  if (GetParam().lives) {
    EXPECT_TRUE(runs());
    kill(pid, SIGKILL);
  }
  for (int i = 0; runs() && i < 1000; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_FALSE(runs());
}

// A daemon that is told to end ends, whatever its scheduler does.
TEST(CommandRunnerTest, AStopEndsWhatHangsAndStartsNothingMore) {
  const auto stop = std::make_shared<std::atomic<bool>>(false);
  CommandRunner runner({.timeout = std::chrono::minutes(5), .stop = stop});
  const auto began = std::chrono::steady_clock::now();
  std::thread other([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    *stop = true;
  });
  const auto result = runner.Run({"sleep", "1000"});
  other.join();
  EXPECT_TRUE(result.ok() && result->timed_out);
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(20));
  EXPECT_EQ(runner.Run({"true"}).status().code(), StatusCode::kUnavailable);
}

TEST(CommandRunnerTest, ACommandThatAnswersSoonAfterTheStopIsHeard) {
  const auto stop = std::make_shared<std::atomic<bool>>(false);
  CommandRunner runner({.timeout = std::chrono::minutes(5), .stop = stop});
  std::thread other([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    *stop = true;
  });
  const auto result = runner.Run({"/bin/sh", "-c", "sleep 0.5; echo 1001"});
  other.join();
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->out, "1001\n");
}

TEST(CommandRunnerTest, OutputIsBounded) {
  const CommandResult result =
      Shell("head -c 1000000 /dev/zero; head -c 1000000 /dev/zero >&2", {.max_output = 1000});
  EXPECT_TRUE(result.ok());
  EXPECT_TRUE(result.truncated);
  EXPECT_EQ(result.out.size(), 1000u);
  EXPECT_EQ(result.err.size(), std::size_t{64} << 10);
  EXPECT_LE(result.Summary().size(), 512u);
}

TEST(CommandRunnerTest, ASinkHearsEverything) {
  CommandRunner runner({.max_output = 10});
  std::size_t heard = 0;
  const auto result = runner.Run({"head", "-c", "5000000", "/dev/zero"},
                                 [&](std::string_view piece) { heard += piece.size(); });
  EXPECT_TRUE(result->ok());
  EXPECT_FALSE(result->truncated);
  EXPECT_EQ(result->out, "");
  EXPECT_EQ(heard, 5'000'000u);
}

TEST(CommandRunnerTest, TheEnvironmentCannotChangeTheForm) {
  setenv("SQUEUE_FORMAT", "%i", 1);
  setenv("SBATCH_PARTITION", "x", 1);
  setenv("LC_TIME", "de_DE.UTF-8", 1);
  setenv("SLURM_CONF_TEST", "kept", 1);
  const std::string out = Shell("env").out;
  EXPECT_EQ(out.find("SQUEUE_FORMAT"), std::string::npos);
  EXPECT_EQ(out.find("SBATCH_PARTITION"), std::string::npos);
  EXPECT_EQ(out.find("LC_TIME"), std::string::npos);
  EXPECT_NE(out.find("SLURM_CONF_TEST=kept"), std::string::npos);
  EXPECT_NE(out.find("TZ=UTC\n"), std::string::npos);
  EXPECT_NE(out.find("LC_ALL=C\n"), std::string::npos);
}

TEST(CommandRunnerTest, PrefixAndDirectory) {
  const auto scratch = *TemporaryDirectory::Create("runner-");
  ASSERT_TRUE(
      WriteFileAtomic(scratch.path() + "/squeue", "#!/bin/bash\necho mine \"$@\"\n", 0700).ok());
  CommandRunner runner({.prefix = {"/usr/bin/env", "A=b"}, .directory = scratch.path()});
  EXPECT_EQ(runner.Run({"squeue", "-h"})->out, "mine -h\n");
}

TEST(CommandRunnerTest, AMissingProgramIsAnError) {
  CommandRunner runner({});
  const auto result = runner.Run({"no-such-program-anywhere"});
  EXPECT_FALSE(result.ok());
  EXPECT_NE(result.status().message().find("no-such-program-anywhere"), std::string::npos);
}

TEST(CommandRunnerTest, AnEndThatCannotBeSeenIsNoSuccess) {
  signal(SIGCHLD, SIG_IGN);
  const CommandResult result = Shell("exit 1");
  signal(SIGCHLD, SIG_DFL);
  EXPECT_FALSE(result.ok());
}

}  // namespace
}  // namespace tributary::scheduler_adapters

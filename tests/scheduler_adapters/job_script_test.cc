// The script is run by the real bash.
#include "scheduler_adapters/job_script.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <thread>

#include "core/files.h"
#include "scheduler_adapters/command_runner.h"

namespace tributary::scheduler_adapters {
namespace {

class JobScriptTest : public testing::Test {
 protected:
  JobSpec Spec(std::vector<std::string> command) {
    JobSpec spec;
    spec.name = "task.a1";
    spec.working_directory = scratch_.path();
    spec.command = std::move(command);
    spec.stdout_path = spec.stderr_path = scratch_.path() + "/out";
    return spec;
  }
  JobSpec Shell(const std::string& line) { return Spec({"/bin/bash", "-c", line}); }

  // As the scheduler would, under this job id.
  CommandResult Run(const JobSpec& spec, const std::string& id, bool own_timer = false) {
    const std::string script =
        RenderJobScript(spec, {{"#PBS -N x"}, "TRIBUTARY_TEST_JOB", own_timer});
    EXPECT_TRUE(WriteFileAtomic(scratch_.path() + "/job.sh", script, 0700).ok());
    CommandRunner runner({.prefix = {"/usr/bin/env", "TRIBUTARY_TEST_JOB=" + id}});
    return *runner.Run({"/bin/bash", scratch_.path() + "/job.sh"});
  }
  JobMarks Marks() { return ReadJobMarks(scratch_.path(), "task.a1"); }

  TemporaryDirectory scratch_ = *TemporaryDirectory::Create("job-script-");
};

TEST_F(JobScriptTest, RunsTheCommandAndMarksItsEnd) {
  EXPECT_EQ(Marks().claimed_by, "");
  const CommandResult result = Run(Shell("echo hello; exit 7"), "42");
  EXPECT_EQ(result.exit_status, 7);
  EXPECT_EQ(result.out, "hello\n");
  const JobMarks marks = Marks();
  EXPECT_EQ(marks.claimed_by, "42");
  EXPECT_EQ(marks.starts, 1);
  EXPECT_EQ(marks.exit_code, 7);
  ASSERT_TRUE(marks.started && marks.ended);
  EXPECT_LE(*marks.started, *marks.ended);
}

TEST_F(JobScriptTest, NoValueOfTheSpecIsReadByTheShell) {
  const std::string evil = "a'b\"c $(touch pwned) `touch pwned` ; touch pwned \\ \n * ~ !";
  JobSpec spec = Spec({"/usr/bin/printf", "%s|", evil, "", "-n", "$HOME"});
  spec.environment["EVIL"] = evil;
  EXPECT_EQ(Run(spec, "1").out, evil + "||-n|$HOME|");
  JobSpec show = Spec({"/usr/bin/printenv", "EVIL"});
  show.name = "task.a2";
  show.environment["EVIL"] = evil;
  EXPECT_EQ(Run(show, "2").out, evil + "\n");
  EXPECT_FALSE(PathExists(scratch_.path() + "/pwned"));
}

TEST_F(JobScriptTest, ThePrologueIsTheSitesOwnShell) {
  JobSpec spec = Shell("echo $LOADED $GIVEN; pwd");
  spec.environment["GIVEN"] = "x";
  spec.prologue = {"load() { export LOADED=\"$1-$GIVEN\"; }", "load module", "cd /"};
  EXPECT_EQ(Run(spec, "1").out, "module-x x\n" + scratch_.path() + "\n");
}

TEST_F(JobScriptTest, ALineOfThePrologueThatFailsEndsTheJobBeforeTheCommand) {
  int runs = 0;
  for (const std::string line : {"source /nowhere/bin/activate", "false", "echo a; (exit 3)",
                                 "x=$(exit 4)", "no-such-command", "false; true"}) {
    JobSpec spec = Shell("echo trained");
    spec.name += std::to_string(++runs);
    spec.prologue = {"export A=1", line, "export B=1"};
    const CommandResult result = Run(spec, "1");
    EXPECT_EQ(result.exit_status, kSetupFailedExit) << line;
    EXPECT_EQ(result.out.find("trained"), std::string::npos) << line;
    EXPECT_NE(result.err.find("tributary: a line of the setup failed"), std::string::npos) << line;
  }
}

TEST_F(JobScriptTest, WhatAPrologueDecidesItselfIsItsOwnBusiness) {
  ASSERT_TRUE(WriteFileAtomic(scratch_.path() + "/rc", "false\nexport RC=1\n[ -n x ]\n").ok());
  JobSpec spec = Shell("echo trained $RC $GOOD $HEX");
  spec.prologue = {"[ -e /nowhere ] && export NEVER=1",
                   "false || true",
                   "if false; then",
                   "  export NEVER=1",
                   "else",
                   "  export GOOD=yes",
                   "fi",
                   "! true",
                   "maybe() { false; export HEX=$1; }",
                   "maybe 0x1",
                   "source " + scratch_.path() + "/rc",
                   "cat > /dev/null << END",
                   "false",
                   "END"};
  const CommandResult result = Run(spec, "1");
  EXPECT_EQ(result.out, "trained 1 yes 0x1\n") << result.err;
  EXPECT_EQ(result.exit_status, 0);
}

TEST_F(JobScriptTest, NoShellOptionOfThePrologueReachesTheScript) {
  for (const std::string line :
       {"set -e", "set -eu", "set -o pipefail", "set -o noclobber", "set -f",
        "trap 'echo mine' EXIT", "IFS=0123456789", "exec 2>/dev/null", "unset PATH || true",
        "wait() { return 9; }", "kill() { :; }", "child=1; marks=/nowhere; code=0"}) {
    JobSpec spec = Spec({"/bin/sh", "-c", "exit 7"});
    spec.name = "task." + std::to_string(line.size()) + line.substr(0, 3);
    std::erase_if(spec.name, [](char c) { return c == ' ' || c == '\''; });
    spec.prologue = {line};
    EXPECT_EQ(Run(spec, "1").exit_status, 7) << line;
    const JobMarks marks = ReadJobMarks(scratch_.path(), spec.name);
    EXPECT_TRUE(marks.ended) << line;
  }
}

// As the kinds of `module` behave that were seen.
TEST_F(JobScriptTest, AModuleThatCannotBeLoadedEndsTheJob) {
  struct Case {
    std::string shell, name;
    bool fine;
  };
  const std::string absent = "unset -f module; unset LOADEDMODULES";
  // 3.2: success whatever happens; only the variable tells.
  const std::string old =
      "export LOADEDMODULES=gcc/12; module() { [ \"$2\" = pytorch/2.4 ] || [ \"$2\" = pytorch ] && "
      "export LOADEDMODULES=$LOADEDMODULES:pytorch/2.4 || echo 'Unable to locate a modulefile' "
      ">&2; }";
  const std::string lmod = "export LMOD_CMD=/x LOADEDMODULES=a/1; module() { [ \"$2\" != none ]; }";
  const std::string own = "unset LOADEDMODULES; module() { [ \"$2\" != none ]; }";
  int runs = 0;
  for (const Case& c : std::vector<Case>{{absent, "pytorch/2.4", false},
                                         {old, "pytorch/2.4", true},
                                         {old, "pytorch", true},
                                         {old, "gcc/12", true},
                                         {old, "gcc", true},
                                         {old, "none/1", false},
                                         {lmod, "alias", true},
                                         {lmod, "none", false},
                                         {own, "some", true},
                                         {own, "none", false}}) {
    JobSpec spec = Shell("echo trained");
    spec.name += std::to_string(++runs);
    spec.prologue = {c.shell, "load_module " + c.name};
    const CommandResult result = Run(spec, "1");
    EXPECT_EQ(result.exit_status, c.fine ? 0 : kSetupFailedExit) << c.shell << c.name << result.err;
    EXPECT_EQ(result.out, c.fine ? "trained\n" : "") << c.shell << c.name;
    if (!c.fine) {
      EXPECT_NE(result.err.find("tributary: module " + c.name + " cannot be loaded"),
                std::string::npos)
          << result.err;
    }
  }
}

TEST_F(JobScriptTest, IdsMayHaveASuffix) {
  const JobSpec spec = Shell("exit 0");
  const std::string script = RenderJobScript(
      spec, {.directives = {}, .job_id_variable = "TRIBUTARY_TEST_JOB", .job_id_suffix = ";gpu"});
  ASSERT_TRUE(WriteFileAtomic(scratch_.path() + "/job.sh", script, 0700).ok());
  CommandRunner runner({.prefix = {"/usr/bin/env", "TRIBUTARY_TEST_JOB=42"}});
  EXPECT_TRUE(runner.Run({"/bin/bash", scratch_.path() + "/job.sh"})->ok());
  EXPECT_EQ(Marks().claimed_by, "42;gpu");
}

// srun, as 22.05.8 was measured: SIGUSR1 goes to the task, SIGTERM kills it.
TEST_F(JobScriptTest, AWarningPassesALauncherThatHandsItOn) {
  const std::string srun = scratch_.path() + "/srun";
  ASSERT_TRUE(
      WriteFileAtomic(srun,
                      "#!/bin/bash\n\"$@\" & c=$!\n"
                      "trap 'kill -USR1 $c' USR1\ntrap 'kill -9 $c; exit 137' TERM\n"
                      "wait $c; r=$?\nwhile kill -0 $c 2>/dev/null; do wait $c; r=$?; done\n"
                      "exit $r\n",
                      0700)
          .ok());
  for (const int signal : {SIGUSR1, SIGTERM}) {
    JobSpec spec = Shell("trap 'echo warned; exit 0' USR1 TERM; kill -" + std::to_string(signal) +
                         " $(ps -o ppid= -p $PPID); while :; do sleep 0.05; done");
    spec.command.insert(spec.command.begin(), srun);
    spec.name += std::to_string(signal);
    spec.warning_signal = SIGUSR1;
    const CommandResult result = Run(spec, "1");
    EXPECT_EQ(result.out, "warned\n");
    EXPECT_EQ(result.exit_status, 0);
  }
}

TEST_F(JobScriptTest, ASecondJobOfTheNameDoesNothing) {
  EXPECT_EQ(Run(Shell("echo first"), "42").out, "first\n");
  const CommandResult second = Run(Shell("echo second"), "43");
  EXPECT_EQ(second.exit_status, kClaimedExit);
  EXPECT_EQ(second.out, "");
  EXPECT_NE(second.err.find("42"), std::string::npos);
  EXPECT_EQ(Marks().claimed_by, "42");
  EXPECT_EQ(Marks().exit_code, 0);
}

TEST_F(JobScriptTest, ARequeuedJobRunsAgain) {
  Run(Shell("exit 1"), "42");
  EXPECT_EQ(Run(Shell("echo again"), "42").out, "again\n");
  EXPECT_EQ(Marks().starts, 2);
  EXPECT_EQ(Marks().exit_code, 0);
}

TEST_F(JobScriptTest, SignalsReachTheCommandAsItsWarning) {
  for (const int signal : {SIGUSR1, SIGTERM}) {
    JobSpec spec = Shell("trap 'echo warned; exit 3' TERM; kill -" + std::to_string(signal) +
                         " $PPID; while :; do sleep 0.05; done");
    spec.name += std::to_string(signal);
    const CommandResult result = Run(spec, "1");
    EXPECT_EQ(result.out, "warned\n");
    EXPECT_EQ(result.exit_status, 3);
  }
}

TEST_F(JobScriptTest, OwnTimerWarnsBeforeTheWalltime) {
  JobSpec spec = Shell("trap 'echo warned; exit 0' TERM; while :; do sleep 0.05; done");
  spec.walltime = std::chrono::seconds(100);
  spec.warning_before = std::chrono::seconds(99);
  EXPECT_EQ(Run(spec, "1", /*own_timer=*/true).out, "warned\n");
}

TEST_F(JobScriptTest, OwnTimerDoesNotOutliveAJobThatEndsFirst) {
  JobSpec spec = Shell("echo done");
  spec.walltime = std::chrono::seconds(100'000);
  spec.warning_before = std::chrono::seconds(1);
  const CommandResult result = Run(spec, "1", /*own_timer=*/true);
  EXPECT_FALSE(result.timed_out);
  EXPECT_EQ(result.out, "done\n");
}

TEST_F(JobScriptTest, ACommandKilledByASignalHasItsExitCode) {
  EXPECT_EQ(Run(Shell("kill -9 $$"), "1").exit_status, 137);
  EXPECT_EQ(Marks().exit_code, 137);
}

TEST_F(JobScriptTest, DamagedMarksAreNoMarks) {
  const std::string directory = scratch_.path() + "/.jobs/task.a1";
  ASSERT_TRUE(MakeDirectories(directory).ok());
  ASSERT_TRUE(WriteFileAtomic(directory + "/ended", "x y\n").ok());
  ASSERT_TRUE(WriteFileAtomic(directory + "/starts", "12\nabc\n\n13").ok());
  EXPECT_FALSE(Marks().ended);
  EXPECT_FALSE(Marks().exit_code);
  EXPECT_EQ(Marks().starts, 1);
}

TEST(ShellQuoteTest, QuotesWhatAShellWouldRead) {
  EXPECT_EQ(ShellQuote("/a/b-c.d_1=2:3,4@5%6+7"), "/a/b-c.d_1=2:3,4@5%6+7");
  EXPECT_EQ(ShellQuote(""), "''");
  EXPECT_EQ(ShellQuote("a b"), "'a b'");
  EXPECT_EQ(ShellQuote("it's"), "'it'\\''s'");
  EXPECT_EQ(ShellQuote("~"), "'~'");
}

}  // namespace
}  // namespace tributary::scheduler_adapters

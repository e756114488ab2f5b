#include "scheduler_adapters/local_adapter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "scheduler_adapters/local_supervisor.h"
#include "tests/scheduler_adapters/local_harness.h"

namespace tributary::scheduler_adapters {
namespace {

using testing::HasSubstr;

class LocalAdapterTest : public testing::Test {
 protected:
  SchedulerAdapter& adapter() { return harness_.adapter(); }
  JobStatus StatusOf(const std::string& id) {
    const std::vector<std::string> ids = {id};
    return adapter().Query(ids).at(0);
  }
  template <typename Condition>
  bool WaitUntil(Condition condition) {
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > give_up) return false;
      harness_.Wait();
    }
    return true;
  }
  JobStatus WaitForEnd(const std::string& id) {
    EXPECT_TRUE(WaitUntil([&] { return IsTerminal(StatusOf(id).state); }));
    return StatusOf(id);
  }
  // Waits until the job has written `text` to its file.
  void WaitForText(const std::string& name, const std::string& text) {
    EXPECT_TRUE(WaitUntil([&] {
      return harness_.Text(harness_.FileOf(name)).find(text) != std::string::npos;
    })) << harness_.Text(harness_.FileOf(name));
  }
  std::string TextOf(const std::string& name) { return harness_.Text(harness_.FileOf(name)); }
  pid_t PidIn(const std::string& name) { return static_cast<pid_t>(std::stol(TextOf(name))); }
  // A zombie that its new parent has not yet reaped is dead.
  static bool IsAlive(pid_t pid) {
    std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
    std::string number, name, state;
    return (stat >> number >> name >> state) && state != "Z" && state != "X";
  }

  LocalHarness harness_;
};

TEST_F(LocalAdapterTest, JobGetsExactlyItsEnvironmentDirectoryAndFiles) {
  JobSpec spec = harness_.Shell("env", "env > \"$1\"; pwd >> \"$1\"; echo out; echo err >&2; cat");
  spec.environment["GREETING"] = "hello \"world\"\n$x";
  spec.cpus = 1;
  ASSERT_TRUE(adapter().Submit(spec).ok());
  EXPECT_EQ(WaitForEnd("env").state, JobState::kCompleted);
  const std::string text = TextOf("env");
  EXPECT_THAT(text, HasSubstr("GREETING=hello \"world\"\n$x\n"));
  EXPECT_THAT(text, HasSubstr("OMP_NUM_THREADS=1\n"));
  EXPECT_THAT(text, HasSubstr("\n" + spec.working_directory + "\n"));
  EXPECT_EQ(text.find("HOME="), std::string::npos) << text;
  EXPECT_EQ(harness_.Text(spec.stdout_path), "out\n");
  EXPECT_EQ(harness_.Text(spec.stderr_path), "err\n");
}

TEST_F(LocalAdapterTest, ThePrologueRunsFirstAndTheWalltimeStillWarns) {
  JobSpec spec = harness_.Shell(
      "setup", "trap 'echo warned; exit 0' TERM; echo $LOADED; while :; do sleep 0.05; done");
  spec.prologue = {"export LOADED=yes"};
  spec.walltime = std::chrono::seconds(100);
  spec.warning_before = std::chrono::seconds(95);  // the script is ready for it by then
  ASSERT_TRUE(adapter().Submit(spec).ok());
  WaitForEnd("setup");
  EXPECT_EQ(harness_.Text(spec.stdout_path), "yes\nwarned\n");
  EXPECT_THAT(adapter().Render(spec), HasSubstr("export LOADED=yes\n"));
}

TEST_F(LocalAdapterTest, ListsWhatLives) {
  ASSERT_TRUE(adapter().Submit(harness_.Exiting("mine-ended", 0)).ok());
  WaitForEnd("mine-ended");
  ASSERT_TRUE(adapter().Submit(harness_.Endless("mine-running")).ok());
  ASSERT_TRUE(adapter().Submit(harness_.Endless("other")).ok());
  const auto live = adapter().ListLive("mine-");
  ASSERT_TRUE(live.ok());
  ASSERT_EQ(live->size(), 1u);
  EXPECT_EQ((*live)[0].id, "mine-running");
}

TEST_F(LocalAdapterTest, JobIsHeldToItsCpus) {
  cpu_set_t allowed;
  sched_getaffinity(0, sizeof allowed, &allowed);
  const std::int64_t count = CPU_COUNT(&allowed);
  JobSpec spec = harness_.Shell("cpus", "nproc > \"$1\"");
  ASSERT_TRUE(adapter().Submit(spec).ok());
  WaitForEnd("cpus");
  EXPECT_EQ(TextOf("cpus"), "1\n");
  spec = harness_.Shell("too-many", "exit 0");
  spec.cpus = count + 1;
  EXPECT_EQ(adapter().Submit(spec).status().message(),
            "job too-many: " + std::to_string(count + 1) + " cpus; this machine allows " +
                std::to_string(count));
}

TEST_F(LocalAdapterTest, CommandThatCannotBeExecutedFailsWithTheReason) {
  JobSpec spec = harness_.Exiting("absent", 0);
  spec.command = {"/no/such/program"};
  ASSERT_TRUE(adapter().Submit(spec).ok());
  const JobStatus status = WaitForEnd("absent");
  EXPECT_EQ(status.state, JobState::kFailed);
  EXPECT_EQ(status.exit_code, 127);
  EXPECT_EQ(status.message,
            "cannot execute the command /no/such/program: no such file or directory (2)");
}

TEST_F(LocalAdapterTest, SignalThatEndsAJobIsNamed) {
  ASSERT_TRUE(adapter().Submit(harness_.Shell("crash", "kill -SEGV $$")).ok());
  const JobStatus status = WaitForEnd("crash");
  EXPECT_EQ(status.state, JobState::kFailed);
  EXPECT_EQ(status.exit_code, 128 + SIGSEGV);
  EXPECT_EQ(status.message, "ended by signal 11 (Segmentation fault)");
}

TEST_F(LocalAdapterTest, CancelledJobMayEndByItself) {
  ASSERT_TRUE(adapter()
                  .Submit(harness_.Shell("polite",
                                         "trap 'echo partial >> \"$1\"; exit 0' TERM; "
                                         "echo ready > \"$1\"; while :; do sleep 0.01; done"))
                  .ok());
  WaitForText("polite", "ready");
  ASSERT_TRUE(adapter().Cancel("polite").ok());
  const JobStatus status = WaitForEnd("polite");
  EXPECT_EQ(status.state, JobState::kCancelled);
  EXPECT_EQ(status.exit_code, 0);
  EXPECT_EQ(TextOf("polite"), "ready\npartial\n");
}

TEST_F(LocalAdapterTest, CancelledJobThatIgnoresTheSignalIsKilledAfterTheGrace) {
  harness_.UseCancelGrace(1);
  ASSERT_TRUE(adapter()
                  .Submit(harness_.Shell("stubborn",
                                         "trap '' TERM; echo ready > \"$1\"; "
                                         "while :; do sleep 0.01; done"))
                  .ok());
  WaitForText("stubborn", "ready");
  ASSERT_TRUE(adapter().Cancel("stubborn").ok());
  const JobStatus status = WaitForEnd("stubborn");
  EXPECT_EQ(status.state, JobState::kCancelled);
  EXPECT_EQ(status.exit_code, 128 + SIGKILL);
}

TEST_F(LocalAdapterTest, WarningComesBeforeTheWalltimeEnds) {
  JobSpec spec = harness_.Shell("warned",
                                "trap 'echo warned >> \"$1\"; exit 0' USR1; "
                                "while :; do sleep 0.01; done");
  spec.walltime = std::chrono::seconds(60);
  spec.warning_before = std::chrono::seconds(59);
  spec.warning_signal = SIGUSR1;
  ASSERT_TRUE(adapter().Submit(spec).ok());
  EXPECT_EQ(WaitForEnd("warned").state, JobState::kCompleted);
  EXPECT_EQ(TextOf("warned"), "warned\n");
}

TEST_F(LocalAdapterTest, WarningThatKillsTheJobIsATimeout) {
  JobSpec spec = harness_.Endless("unprepared");
  spec.walltime = std::chrono::seconds(60);
  spec.warning_before = std::chrono::seconds(59);
  ASSERT_TRUE(adapter().Submit(spec).ok());
  const JobStatus status = WaitForEnd("unprepared");
  EXPECT_EQ(status.state, JobState::kTimedOut);
  EXPECT_EQ(status.message, "its walltime of 60 s ended; ended by signal 15 (Terminated)");
}

TEST_F(LocalAdapterTest, NothingOfAJobOutlivesIt) {
  // One process stays in the group, one leaves it with a session of its own.
  ASSERT_TRUE(adapter()
                  .Submit(harness_.Shell(
                      "litter",
                      "sleep 1000 & echo $! > \"$1.group\"; "
                      "setsid sh -c 'echo $$ > \"$0.session\"; exec sleep 1000' \"$1\" & "
                      "while ! [ -s \"$1.session\" ]; do sleep 0.01; done; exit 0"))
                  .ok());
  EXPECT_EQ(WaitForEnd("litter").state, JobState::kCompleted);
  EXPECT_FALSE(IsAlive(PidIn("litter.group")));
  EXPECT_FALSE(IsAlive(PidIn("litter.session")));
}

TEST_F(LocalAdapterTest, JobRunsOnWhenTheAdapterIsGone) {
  ASSERT_TRUE(adapter()
                  .Submit(harness_.Shell("survivor",
                                         "echo ready > \"$1\"; "
                                         "while ! [ -e \"$1.go\" ]; do sleep 0.01; done; exit 9"))
                  .ok());
  WaitForText("survivor", "ready");
  harness_.Restart();
  EXPECT_EQ(StatusOf("survivor").state, JobState::kRunning);
  EXPECT_EQ(*adapter().Find("survivor"), "survivor");
  ASSERT_TRUE(WriteFileAtomic(harness_.FileOf("survivor.go"), "").ok());
  EXPECT_EQ(WaitForEnd("survivor").exit_code, 9);
  EXPECT_EQ(harness_.Runs("survivor"), 1);
}

TEST_F(LocalAdapterTest, SupervisorIsNoChildOfTheDaemon) {
  ASSERT_TRUE(adapter().Submit(harness_.Endless("orphan")).ok());
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

TEST_F(LocalAdapterTest, KilledSupervisorTakesItsJobAlongAndIsANodeFailure) {
  ASSERT_TRUE(adapter().Submit(harness_.Shell("doomed", "echo $$ > \"$1\"; exec sleep 1000")).ok());
  ASSERT_TRUE(WaitUntil([&] { return TextOf("doomed").ends_with("\n"); }));
  const std::optional<pid_t> supervisor = harness_.Directory("doomed").ReadSupervisor();
  ASSERT_TRUE(supervisor);
  ASSERT_EQ(kill(*supervisor, SIGKILL), 0);
  const JobStatus status = WaitForEnd("doomed");
  EXPECT_EQ(status.state, JobState::kNodeFailed);
  EXPECT_EQ(status.message, "its supervisor vanished without a record of the job's end");
  EXPECT_TRUE(status.started);
  const pid_t job = PidIn("doomed");
  EXPECT_TRUE(WaitUntil([&] { return !IsAlive(job); }));
  // The name is spent: a job that may have done something is not run again.
  EXPECT_EQ(*adapter().Submit(harness_.Exiting("doomed", 0)), "doomed");
  EXPECT_EQ(*adapter().Find("doomed"), "doomed");
  EXPECT_TRUE(adapter().Cancel("doomed").ok());
  EXPECT_EQ(StatusOf("doomed").state, JobState::kNodeFailed);
  EXPECT_EQ(harness_.Runs("doomed"), 1);
}

TEST_F(LocalAdapterTest, SupervisorToldToEndAsAtAShutdownIsANodeFailure) {
  ASSERT_TRUE(
      adapter().Submit(harness_.Shell("shutdown", "echo ready > \"$1\"; exec sleep 1000")).ok());
  WaitForText("shutdown", "ready");
  ASSERT_EQ(kill(*harness_.Directory("shutdown").ReadSupervisor(), SIGTERM), 0);
  EXPECT_EQ(WaitForEnd("shutdown").state, JobState::kNodeFailed);
}

TEST_F(LocalAdapterTest, DaemonKilledBeforeTheSupervisorLeavesTheNameFree) {
  const LocalJobDirectory directory = harness_.Directory("half");
  ASSERT_TRUE(MakeDirectories(directory.path()).ok());
  EXPECT_EQ(StatusOf("half").state, JobState::kUnknown);
  ASSERT_TRUE(directory.WriteJob({harness_.Exiting("half", 1), {}, {}}).ok());
  EXPECT_EQ(*adapter().Find("half"), std::nullopt);
  EXPECT_EQ(StatusOf("half").state, JobState::kNodeFailed);
  EXPECT_EQ(*adapter().Submit(harness_.Exiting("half", 0)), "half");
  EXPECT_EQ(WaitForEnd("half").state, JobState::kCompleted);
  EXPECT_EQ(harness_.Runs("half"), 1);
}

TEST_F(LocalAdapterTest, JobCancelledBeforeItsSupervisorNeverRuns) {
  const LocalJobDirectory directory = harness_.Directory("early");
  ASSERT_TRUE(MakeDirectories(directory.path()).ok());
  ASSERT_TRUE(directory.WriteJob({harness_.Exiting("early", 0), {}, {}}).ok());
  ASSERT_TRUE(adapter().Cancel("early").ok());
  EXPECT_EQ(StatusOf("early").state, JobState::kCancelled);
  EXPECT_EQ(*adapter().Submit(harness_.Exiting("early", 0)), "early");
  EXPECT_EQ(StatusOf("early").state, JobState::kCancelled);
  EXPECT_EQ(harness_.Runs("early"), 0);
}

// A daemon killed while it submits, at many moments: whatever it leaves, submitting again runs the
// job exactly once.
TEST_F(LocalAdapterTest, DaemonKilledWhileSubmittingRunsTheJobOnce) {
  for (int attempt = 0; attempt < 30; ++attempt) {
    const std::string name = "kill" + std::to_string(attempt);
    const JobSpec spec = harness_.Exiting(name, 0);
    const pid_t daemon = fork();
    if (daemon == 0) {
      (void)adapter().Submit(spec);
      pause();
    }
    timespec delay{0, attempt * 200'000};
    nanosleep(&delay, nullptr);
    kill(daemon, SIGKILL);
    waitpid(daemon, nullptr, 0);
    harness_.Restart();
    ASSERT_EQ(*adapter().Submit(spec), name);
    EXPECT_EQ(WaitForEnd(name).state, JobState::kCompleted) << StatusOf(name).message;
    EXPECT_EQ(harness_.Runs(name), 1);
  }
}

TEST_F(LocalAdapterTest, ManyThreadsOfTheDaemonDoNotDisturbSubmitting) {
  std::atomic<bool> stop = false;
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      while (!stop) {
        const std::string text(1000, 'x');
        (void)PathExists(text);
      }
    });
  }
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(adapter().Submit(harness_.Exiting("t" + std::to_string(i), 0)).ok());
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(WaitForEnd("t" + std::to_string(i)).state, JobState::kCompleted);
  }
}

TEST_F(LocalAdapterTest, SupervisorThatCannotRunIsAnErrorAndMayBeTriedAgain) {
  const SystemClock clock;
  SchedulerOptions options;
  options.state_directory = harness_.StateDirectory();
  options.supervisor_command = {"/no/such/supervisor"};
  const auto absent = *MakeSchedulerAdapter(options, clock);
  const Status status = absent->Submit(harness_.Exiting("retry", 0)).status();
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
  EXPECT_THAT(status.message(),
              HasSubstr("submit job retry: run /no/such/supervisor: no such file"));
  options.supervisor_command = {"/bin/sh", "-c", "echo broken >&2; exit 3"};
  const auto broken = *MakeSchedulerAdapter(options, clock);
  EXPECT_EQ(broken->Submit(harness_.Exiting("retry", 0)).status().message(),
            "submit job retry: the supervisor failed with 3: broken\\n");
  ASSERT_TRUE(adapter().Submit(harness_.Exiting("retry", 0)).ok());
  EXPECT_EQ(WaitForEnd("retry").state, JobState::kCompleted);
  EXPECT_EQ(harness_.Runs("retry"), 1);
}

TEST_F(LocalAdapterTest, SupervisorStartedByHandRefuses) {
  const LocalJobDirectory directory = harness_.Directory("hand");
  ASSERT_TRUE(MakeDirectories(directory.path()).ok());
  ASSERT_TRUE(directory.WriteJob({harness_.Exiting("hand", 0), {}, {}}).ok());
  EXPECT_EQ(RunLocalJob(directory.path()), 1);
  EXPECT_EQ(harness_.Runs("hand"), 0);
}

TEST_F(LocalAdapterTest, DamagedRecordOfTheEndIsANodeFailure) {
  const LocalJobDirectory directory = harness_.Directory("damaged");
  ASSERT_TRUE(MakeDirectories(directory.path()).ok());
  for (const std::string_view text : {"", "{", "[]", "{\"state\":\"running\"}", "{\"state\":5}"}) {
    ASSERT_TRUE(WriteFileAtomic(directory.path() + "/exit.json", text).ok());
    EXPECT_EQ(StatusOf("damaged").state, JobState::kNodeFailed) << text;
    EXPECT_THAT(StatusOf("damaged").message, HasSubstr("the record of its end is damaged: "));
  }
}

}  // namespace
}  // namespace tributary::scheduler_adapters

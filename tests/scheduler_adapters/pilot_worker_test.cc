// Real pilots, as processes of a local scheduler.
#include "scheduler_adapters/pilot_worker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>

#include <functional>

#include "tests/scheduler_adapters/pilot_harness.h"

namespace tributary::scheduler_adapters {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

class PilotWorkerTest : public testing::Test {
 protected:
  PilotWorkerTest() {
    harness_.options().max_pilots = 1;
    harness_.Restart();
  }

  static bool WaitUntil(const std::function<bool()>& condition) {
    const auto give_up = std::chrono::steady_clock::now() + seconds(60);
    while (!condition() && std::chrono::steady_clock::now() < give_up) poll(nullptr, 0, 2);
    return condition();
  }
  std::string Submit(const JobSpec& spec) { return *harness_.adapter().Submit(spec); }
  JobStatus StatusOf(const std::string& id) {
    const std::vector<std::string> ids = {id};
    return harness_.adapter().Query(ids).at(0);
  }
  JobStatus WaitForState(const std::string& id, const std::function<bool(JobState)>& is) {
    JobStatus status;
    EXPECT_TRUE(WaitUntil([&] { return is((status = StatusOf(id)).state); }))
        << id << " is " << JobStateName(status.state);
    return status;
  }
  JobStatus WaitForEnd(const std::string& id) { return WaitForState(id, IsTerminal); }
  void WaitForRuns(const std::string& name) {
    EXPECT_TRUE(WaitUntil([&] { return harness_.Runs(name) > 0; }));
  }
  std::string OnlyPilot() {
    const auto names = harness_.PilotNames();
    EXPECT_THAT(names, SizeIs(1));
    return names.at(0);
  }
  std::string WhyItLeft(const std::string& pilot) {
    EXPECT_TRUE(WaitUntil([&] {
      const auto state = harness_.StateOf(pilot);
      return state && !state->left.empty();
    }));
    return harness_.StateOf(pilot)->left;
  }
  // A pilot that no adapter submitted: a process of the test's own.
  void RecordPilot(const std::string& name, const JobSpec& like, seconds serve) {
    PilotRecord record;
    record.spec = like;
    record.spec.name = name;
    record.profile = PilotProfile(like);
    record.serve = serve;
    record.idle_timeout = seconds(0);
    record.poll_interval = milliseconds(5);
    record.grace = seconds(1);
    ASSERT_TRUE(harness_.directory().PutPilot(record).ok());
  }
  pid_t StartPilot(const std::string& name) {
    const pid_t pid = fork();
    if (pid == 0) {
      execl(TRIBUTARY_PILOT_MAIN, TRIBUTARY_PILOT_MAIN, "--dir",
            harness_.directory().path().c_str(), "--name", name.c_str(), nullptr);
      _exit(127);
    }
    return pid;
  }
  static int WaitForExit(pid_t pid) {
    int status = 0;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  void Request(const JobSpec& spec, std::int64_t submitted_us) {
    ASSERT_TRUE(harness_.directory().PutRequest({spec, TimestampFromMicros(submitted_us)}).ok());
    ASSERT_TRUE(harness_.directory().Queue(spec.name).ok());
  }

  PilotHarness harness_;
};

TEST_F(PilotWorkerTest, OnePilotRunsOneTaskAfterTheOther) {
  for (const std::string name : {"a", "b", "c"}) {
    EXPECT_EQ(WaitForEnd(Submit(harness_.Exiting(name, 0))).state, JobState::kCompleted);
  }
  const auto state = harness_.StateOf(OnlyPilot());
  ASSERT_TRUE(state);
  EXPECT_EQ(state->tasks, 3);
}

TEST_F(PilotWorkerTest, OldestFirst) {
  const std::string order = harness_.FileOf("order");
  for (const auto& [name, at] : {std::pair("x", 3), {"y", 1}, {"z", 2}}) {
    Request(harness_.Shell(name, "echo " + std::string(name) + " >> " + order), at);
  }
  RecordPilot("p", harness_.Shell("x", ""), seconds(0));
  EXPECT_EQ(WaitForExit(StartPilot("p")), 0);
  EXPECT_EQ(harness_.Text(order), "y\nz\nx\n");
}

TEST_F(PilotWorkerTest, TakesWhatFitsIntoItsWalltimeAndLeavesTheRestToItsSuccessor) {
  JobSpec large = harness_.Exiting("large", 0);
  large.walltime = seconds(600);
  JobSpec small = harness_.Exiting("small", 0);
  small.walltime = seconds(60);
  Request(large, 1);
  Request(small, 2);
  RecordPilot("p", small, seconds(100));
  EXPECT_EQ(WaitForExit(StartPilot("p")), 0);
  EXPECT_THAT(WhyItLeft("p"), HasSubstr("does not fit"));
  EXPECT_EQ(harness_.Runs("small"), 1);
  EXPECT_EQ(harness_.Runs("large"), 0);
  EXPECT_THAT(*harness_.directory().Queued(), ElementsAre("large"));
}

TEST_F(PilotWorkerTest, LeavesOtherProfilesAlone) {
  JobSpec other = harness_.Exiting("other", 0);
  other.gpus = 1;
  Request(other, 1);
  RecordPilot("p", harness_.Exiting("mine", 0), seconds(0));
  EXPECT_EQ(WaitForExit(StartPilot("p")), 0);
  EXPECT_EQ(WhyItLeft("p"), "idle");
  EXPECT_EQ(harness_.Runs("other"), 0);
}

TEST_F(PilotWorkerTest, LeavesWhenItsWalltimeIsNearlyOver) {
  RecordPilot("p", harness_.Exiting("a", 0), seconds(3));
  EXPECT_EQ(WaitForExit(StartPilot("p")), 0);
  EXPECT_THAT(WhyItLeft("p"), HasSubstr("walltime"));
}

TEST_F(PilotWorkerTest, LeavesWhenIdleAndTheNextTaskGetsANewPilot) {
  harness_.options().idle_timeout = seconds(0);
  harness_.Restart();
  WaitForEnd(Submit(harness_.Exiting("a", 0)));
  EXPECT_EQ(WhyItLeft(OnlyPilot()), "idle");
  EXPECT_EQ(WaitForEnd(Submit(harness_.Exiting("b", 0))).state, JobState::kCompleted);
  EXPECT_THAT(harness_.PilotNames(), SizeIs(2));
}

TEST_F(PilotWorkerTest, StopFileEndsItAfterItsTask) {
  const std::string gate = harness_.FileOf("gate");
  const std::string id =
      Submit(harness_.Shell("a", "while [ ! -e " + gate + " ]; do sleep 0.02; done"));
  WaitForRuns("a");
  ASSERT_TRUE(harness_.directory().RequestStop(OnlyPilot()).ok());
  EXPECT_EQ(StatusOf(id).state, JobState::kRunning);
  ASSERT_TRUE(WriteFileAtomic(gate, "").ok());
  EXPECT_EQ(WaitForEnd(id).state, JobState::kCompleted);
  EXPECT_EQ(WhyItLeft(OnlyPilot()), "asked to stop");
}

TEST_F(PilotWorkerTest, TwoPilotsRunEachTaskOnce) {
  constexpr int kTasks = 40;
  for (int i = 0; i < kTasks; ++i) Request(harness_.Exiting("t" + std::to_string(i), 0), i);
  RecordPilot("p", harness_.Exiting("t0", 0), seconds(0));
  RecordPilot("q", harness_.Exiting("t0", 0), seconds(0));
  const pid_t p = StartPilot("p");
  const pid_t q = StartPilot("q");
  EXPECT_EQ(WaitForExit(p), 0);
  EXPECT_EQ(WaitForExit(q), 0);
  for (int i = 0; i < kTasks; ++i) EXPECT_EQ(harness_.Runs("t" + std::to_string(i)), 1) << i;
  EXPECT_EQ(harness_.StateOf("p")->tasks + harness_.StateOf("q")->tasks, kTasks);
}

TEST_F(PilotWorkerTest, RequestThatIsQueuedTwiceRunsOnce) {
  WaitForEnd(Submit(harness_.Exiting("a", 0)));
  ASSERT_TRUE(harness_.directory().Queue("a").ok());
  WaitForEnd(Submit(harness_.Exiting("b", 0)));
  EXPECT_EQ(harness_.Runs("a"), 1);
  EXPECT_TRUE(WaitUntil([&] { return harness_.directory().Queued()->empty(); }));
}

TEST_F(PilotWorkerTest, KilledPilotLosesItsTaskAndTheNextTaskGetsANewPilot) {
  const std::string id = Submit(harness_.Endless("a"));
  WaitForRuns("a");
  const std::string pilot = OnlyPilot();
  ASSERT_EQ(kill(static_cast<pid_t>(harness_.StateOf(pilot)->pid), SIGKILL), 0);
  const JobStatus status = WaitForEnd(id);
  EXPECT_EQ(status.state, JobState::kNodeFailed);
  EXPECT_THAT(status.message, HasSubstr(pilot));
  EXPECT_EQ(WaitForEnd(Submit(harness_.Exiting("a2", 0))).state, JobState::kCompleted);
  EXPECT_EQ(harness_.Runs("a"), 1);
  harness_.Restart();
  EXPECT_EQ(StatusOf(id).state, JobState::kNodeFailed);
}

TEST_F(PilotWorkerTest, SecondIncarnationSaysThatTheFirstOnesTaskIsLost) {
  Request(harness_.Endless("a"), 1);
  RecordPilot("p", harness_.Endless("a"), seconds(0));
  const pid_t first = StartPilot("p");
  WaitForRuns("a");
  kill(first, SIGKILL);
  EXPECT_EQ(WaitForExit(first), 128 + SIGKILL);
  EXPECT_EQ(WaitForExit(StartPilot("p")), 0);
  const auto task = harness_.directory().ReadTask("a");
  ASSERT_TRUE(task.ok() && task->end);
  EXPECT_EQ(task->end->state, JobState::kNodeFailed);
  EXPECT_EQ(harness_.Runs("a"), 1);
}

TEST_F(PilotWorkerTest, WarnedPilotLetsItsTaskWriteWhatItHas) {
  for (const int signal : {SIGTERM, SIGUSR1}) {
    const std::string name = "a" + std::to_string(signal);
    const std::string id = Submit(harness_.Shell(
        name, "trap 'echo partial > \"$1\"; exit 0' TERM; while :; do sleep 0.02; done"));
    WaitForRuns(name);
    const std::string pilot = harness_.PilotNames().back();
    poll(nullptr, 0, 50);  // past the shell's trap
    ASSERT_EQ(kill(static_cast<pid_t>(harness_.StateOf(pilot)->pid), signal), 0);
    EXPECT_EQ(WaitForEnd(id).state, JobState::kCompleted);
    EXPECT_EQ(harness_.Text(harness_.FileOf(name)), "partial\n");
    EXPECT_THAT(WhyItLeft(pilot), HasSubstr("signal"));
  }
}

TEST_F(PilotWorkerTest, WarnedPilotsTaskThatDoesNotFinishIsPreempted) {
  const std::string id = Submit(harness_.Endless("a"));
  WaitForRuns("a");
  ASSERT_EQ(kill(static_cast<pid_t>(harness_.StateOf(OnlyPilot())->pid), SIGTERM), 0);
  EXPECT_EQ(WaitForEnd(id).state, JobState::kPreempted);
}

TEST_F(PilotWorkerTest, CancelledTaskThatIgnoresItIsKilledAndThePilotGoesOn) {
  harness_.options().cancel_grace = seconds(1);
  harness_.Restart();
  const std::string id = Submit(harness_.Shell(
      "a", "trap '' TERM; (trap '' TERM; sleep 1000) & while :; do sleep 0.02; done"));
  WaitForRuns("a");
  ASSERT_TRUE(harness_.adapter().Cancel(id).ok());
  EXPECT_EQ(WaitForEnd(id).state, JobState::kCancelled);
  EXPECT_EQ(WaitForEnd(Submit(harness_.Exiting("b", 0))).state, JobState::kCompleted);
  EXPECT_THAT(harness_.PilotNames(), SizeIs(1));
}

TEST_F(PilotWorkerTest, TaskIsWarnedBeforeItsOwnWalltimeAndThePilotGoesOn) {
  JobSpec spec = harness_.Shell(
      "a", "trap 'echo partial > \"$1\"; exit 0' TERM; while :; do sleep 0.02; done");
  spec.walltime = seconds(3);
  spec.warning_before = seconds(2);
  EXPECT_EQ(WaitForEnd(Submit(spec)).state, JobState::kCompleted);
  EXPECT_EQ(harness_.Text(harness_.FileOf("a")), "partial\n");
  EXPECT_EQ(WaitForEnd(Submit(harness_.Exiting("b", 0))).state, JobState::kCompleted);
  EXPECT_THAT(harness_.PilotNames(), SizeIs(1));
}

TEST_F(PilotWorkerTest, CommandThatCannotRunFailsAndThePilotGoesOn) {
  JobSpec spec = harness_.Exiting("a", 0);
  spec.command = {"/no/such/program"};
  const JobStatus status = WaitForEnd(Submit(spec));
  EXPECT_EQ(status.state, JobState::kFailed);
  EXPECT_EQ(status.exit_code, 127);
  EXPECT_THAT(status.message, HasSubstr("/no/such/program"));
  EXPECT_EQ(WaitForEnd(Submit(harness_.Exiting("b", 0))).state, JobState::kCompleted);
}

TEST_F(PilotWorkerTest, TasksSeeTheSitesShellLines) {
  JobSpec spec = harness_.Shell("a", "echo \"$FROM_SITE $OWN\" > \"$1\"");
  spec.environment["OWN"] = "own";
  spec.prologue = {"export FROM_SITE=\"loaded after $OWN\""};
  EXPECT_EQ(WaitForEnd(Submit(spec)).state, JobState::kCompleted);
  EXPECT_EQ(harness_.Text(harness_.FileOf("a")), "loaded after own own\n");
}

TEST_F(PilotWorkerTest, HeartbeatsTellBusyFromIdle) {
  WaitForEnd(Submit(harness_.Shell("a", "sleep 0.5")));
  const std::string pilot = OnlyPilot();
  ASSERT_TRUE(harness_.directory().RequestStop(pilot).ok());
  WhyItLeft(pilot);
  EXPECT_TRUE(WaitUntil([&] {
    StatusOf("a");
    const auto usage = ReadPilotUsage(harness_.directory().path());
    return usage.ok() && usage->at(0).ended;
  }));
  const PilotUsage usage = ReadPilotUsage(harness_.directory().path())->at(0);
  EXPECT_GE(usage.busy, milliseconds(500));
  EXPECT_GE(usage.held, usage.busy);
}

}  // namespace
}  // namespace tributary::scheduler_adapters

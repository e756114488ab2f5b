// What goes wrong at a real Slurm, and what the adapter makes of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "scheduler_adapters/job_script.h"
#include "tests/integration/slurm_harness.h"

namespace tributary::integration {
namespace {

using scheduler_adapters::IsTerminal;
using scheduler_adapters::JobSpec;
using scheduler_adapters::JobState;
using scheduler_adapters::JobStateName;
using scheduler_adapters::JobStatus;
using scheduler_adapters::NamedJob;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

// One cluster for all cases of a suite.
template <typename Suite>
class OnCluster : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto started = SlurmCluster::Start(Suite::Options());
    ASSERT_TRUE(started.ok()) << started.status();
    cluster_ = *std::move(started);
  }
  static void TearDownTestSuite() { cluster_.reset(); }
  void SetUp() override {
    ASSERT_TRUE(cluster_);
    harness_ = std::make_unique<SlurmHarness>(*cluster_);
  }

  SlurmCluster& cluster() { return *cluster_; }
  SlurmHarness& harness() { return *harness_; }
  scheduler_adapters::SchedulerAdapter& adapter() { return harness_->adapter(); }

  std::string Submit(const JobSpec& spec) {
    const auto id = adapter().Submit(spec);
    EXPECT_TRUE(id.ok()) << id.status();
    return id.ok() ? *id : "";
  }
  JobStatus StatusOf(const std::string& id) {
    const std::vector<std::string> ids = {id};
    return adapter().Query(ids).at(0);
  }
  template <typename Condition>
  JobStatus WaitFor(const std::string& id, Condition condition) {
    JobStatus status;
    EXPECT_TRUE(WaitUntil([&] {
      status = StatusOf(id);
      return condition(status);
    })) << id
        << " is " << JobStateName(status.state) << ": " << status.message;
    return status;
  }
  JobStatus WaitForState(const std::string& id, JobState state) {
    return WaitFor(id, [&](const JobStatus& s) { return s.state == state; });
  }
  JobStatus WaitForEnd(const std::string& id) {
    return WaitFor(id, [](const JobStatus& s) { return IsTerminal(s.state); });
  }
  // Until the job's own program has begun (again).
  void WaitForRuns(const std::string& name, int runs) {
    EXPECT_TRUE(WaitUntil([&] { return harness().Runs(name) >= runs; })) << name;
  }
  void WaitForText(const std::string& file, const std::string& text) {
    EXPECT_TRUE(WaitUntil([&] { return harness().Text(file).find(text) != std::string::npos; }))
        << file << ": " << harness().Text(file);
  }
  bool ControllerKnows(const std::string& id) {
    const auto known = cluster().Command({"squeue", "-h", "-t", "all", "-o", "%A"});
    return known.ok() && ("\n" + *known).find("\n" + id + "\n") != std::string::npos;
  }
  int CountOfJobs(const std::string& name) {
    const auto jobs = cluster().Command({"squeue", "-h", "-t", "all", "-o", "%A", "-n", name});
    return jobs.ok() ? static_cast<int>(std::count(jobs->begin(), jobs->end(), '\n')) : -1;
  }

  static std::unique_ptr<SlurmCluster> cluster_;
  std::unique_ptr<SlurmHarness> harness_;
};
template <typename Suite>
std::unique_ptr<SlurmCluster> OnCluster<Suite>::cluster_;

// A site without accounting.
class SlurmTest : public OnCluster<SlurmTest> {
 public:
  static SlurmClusterOptions Options() { return {}; }

 protected:
  // Programs of Slurm in a directory of their own, so that one can be replaced.
  std::string ProgramsWith(const std::string& sbatch) {
    std::string directory = harness().FileOf("bin");
    EXPECT_TRUE(MakeDirectories(directory).ok());
    for (const std::string name : {"squeue", "sacct", "scancel", "scontrol"}) {
      EXPECT_EQ(symlink(SlurmCluster::ProgramPath(name).c_str(), JoinPath(directory, name).c_str()),
                0);
    }
    EXPECT_TRUE(WriteFileAtomic(JoinPath(directory, "sbatch"), sbatch, 0700).ok());
    return directory;
  }
};

TEST_F(SlurmTest, JobGetsItsDirectoryFilesAndEnvironmentWhateverTheirNames) {
  setenv("TRIBUTARY_TEST_SECRET", "of the daemon", 1);
  JobSpec spec = harness().Shell("names", "pwd; env; echo wrong >&2");
  spec.working_directory = harness().FileOf("a #1 \"quoted\" 'dir' $HOME");
  ASSERT_TRUE(MakeDirectories(spec.working_directory).ok());
  spec.stdout_path = spec.working_directory + "/100%j #x.out";
  spec.environment["GREETING"] = "hello \"world\"\n$x";
  EXPECT_EQ(WaitForEnd(Submit(spec)).state, JobState::kCompleted);
  const std::string out = harness().Text(spec.stdout_path);
  EXPECT_THAT(out, StartsWith(spec.working_directory + "\n"));
  EXPECT_THAT(out, HasSubstr("GREETING=hello \"world\"\n$x\n"));
  EXPECT_THAT(out, HasSubstr("SLURM_JOB_ID="));
  EXPECT_EQ(out.find("TRIBUTARY_TEST_SECRET"), std::string::npos);
  EXPECT_EQ(harness().Text(spec.stderr_path), "wrong\n");
  unsetenv("TRIBUTARY_TEST_SECRET");
}

TEST_F(SlurmTest, WholeAllocationIsUsedAndCounted) {
  JobSpec spec = harness().Shell("wide", "env; srun sh -c 'echo \"step $GREETING.\"'");
  spec.environment["GREETING"] = "from the spec";
  spec.nodes = 2;
  spec.cpus = 3;
  spec.gpus = 1;
  const JobStatus status = WaitForEnd(Submit(spec));
  EXPECT_EQ(status.state, JobState::kCompleted);
  EXPECT_EQ(status.usage.nodes, 2);
  EXPECT_EQ(status.usage.cpus, 6);
  EXPECT_EQ(status.usage.gpus, 2);
  const std::string out = harness().Text(spec.stdout_path);
  EXPECT_THAT(out, HasSubstr("SLURM_JOB_NUM_NODES=2\n"));
  EXPECT_THAT(out, HasSubstr("SLURM_CPUS_PER_TASK=3\n"));
  EXPECT_THAT(out, HasSubstr("step from the spec.\nstep from the spec.\n"))
      << harness().Text(spec.stderr_path);
}

TEST_F(SlurmTest, ALauncherStartsItsTasksOnEveryNodeWithTheirShareOfTheCpus) {
  JobSpec spec = harness().Shell("launched", "");
  spec.command = {
      "/usr/bin/env", "srun", "--ntasks-per-node=4",
      "/bin/sh",      "-c",   "echo \"$SLURM_PROCID of $SLURM_NTASKS, $SLURM_CPUS_PER_TASK each\""};
  spec.nodes = 2;
  spec.cpus = 8;
  spec.tasks = 4;
  const JobStatus status = WaitForEnd(Submit(spec));
  EXPECT_EQ(status.state, JobState::kCompleted) << harness().Text(spec.stderr_path);
  EXPECT_EQ(status.usage.cpus, 16);
  const std::string out = harness().Text(spec.stdout_path);
  for (int task = 0; task < 8; ++task) {
    EXPECT_THAT(out, HasSubstr(std::to_string(task) + " of 8, 2 each\n"));
  }
}

TEST_F(SlurmTest, AWarningPassesSrunAndTheWorkIsSaved) {
  JobSpec spec = harness().Shell("warned-srun", "");
  const std::string file = harness().FileOf("warned-srun");
  spec.command = {"/usr/bin/env",
                  "srun",
                  "/bin/sh",
                  "-c",
                  "trap 'echo partial > \"$1\"; exit 0' USR1 TERM; echo run >> \"$1.runs\"; "
                  "while :; do sleep 0.1; done",
                  "sh",
                  file};
  spec.warning_signal = SIGUSR1;
  spec.walltime = seconds(60);
  spec.warning_before = seconds(45);
  const std::string id = Submit(spec);
  WaitForText(file, "partial");
  EXPECT_EQ(WaitForEnd(id).state, JobState::kCompleted);
}

TEST_F(SlurmTest, ASubmitFilterThatPrintsNumbersDoesNotChooseTheJob) {
  const std::string stranger = Submit(harness().Endless("stranger"));
  harness().options().command_directory =
      ProgramsWith("#!/bin/bash\n" + SlurmCluster::ProgramPath("sbatch") +
                   " \"$@\" || exit\necho Hours left:\necho " + stranger + "\n");
  harness().Restart();
  const std::string id = Submit(harness().Endless("filtered"));
  EXPECT_NE(id, stranger);
  ASSERT_TRUE(adapter().Cancel(id).ok());
  EXPECT_EQ(WaitForEnd(id).state, JobState::kCancelled);
  EXPECT_EQ(CountOfJobs("filtered"), 1);
  EXPECT_THAT(*cluster().Command({"squeue", "-h", "-o", "%A"}), HasSubstr(stranger));
  EXPECT_THAT(*cluster().Command({"squeue", "-h", "-o", "%A"}), testing::Not(HasSubstr(id)));
}

// It follows the words of a Slurm that knows no other cluster than its own.
TEST_F(SlurmTest, AJobOfAnUnknownClusterIsRefused) {
  harness().options().directives = {"--clusters=elsewhere"};
  harness().Restart();
  JobSpec spec = harness().Exiting("elsewhere", 0);
  spec.directives = harness().options().directives;
  EXPECT_FALSE(adapter().CheckAccepted(spec).ok());
  EXPECT_FALSE(adapter().Submit(spec).ok());
  EXPECT_EQ(CountOfJobs("elsewhere"), 0);
}

TEST_F(SlurmTest, SignalsThatEndAJobAreExitCodes) {
  const std::string command = Submit(harness().Shell("command", "kill -9 $$"));
  const std::string script = Submit(harness().Shell("script", "kill -9 $PPID"));
  for (const std::string& id : {command, script}) {
    const JobStatus status = WaitForEnd(id);
    EXPECT_EQ(status.state, JobState::kFailed);
    EXPECT_EQ(status.exit_code, 137);
  }
}

TEST_F(SlurmTest, RefusalsAreToldBeforeAndAtSubmission) {
  JobSpec spec = harness().Exiting("refused", 0);
  EXPECT_TRUE(adapter().CheckAccepted(spec).ok());
  EXPECT_TRUE(adapter().Estimate(spec).ok());
  spec.queue = "nosuch";
  for (const Status& status : {adapter().CheckAccepted(spec), adapter().Submit(spec).status(),
                               adapter().Estimate(spec).status()}) {
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(status.message(), HasSubstr("nvalid partition"));
  }
  spec.queue.clear();
  spec.nodes = 99;
  EXPECT_EQ(adapter().CheckAccepted(spec).code(), StatusCode::kInvalidArgument);
  spec.nodes = 1;
  spec.directives = {"--constraint=nosuch"};
  EXPECT_EQ(adapter().Submit(spec).status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(*adapter().ListLive("refused"), IsEmpty());
  EXPECT_EQ(*adapter().Find("refused"), std::nullopt);
  spec.directives.clear();
  EXPECT_EQ(WaitForEnd(Submit(spec)).state, JobState::kCompleted);  // the name is free
}

TEST_F(SlurmTest, HeldJobIsHeldUntilReleasedAndTheSitesOwnOptionsWin) {
  JobSpec spec = harness().Exiting("held", 0);
  spec.directives = {"--hold", "--comment=\"two words\"", "--time=7"};
  spec.walltime = seconds(60);
  const std::string id = Submit(spec);
  const JobStatus status = WaitForState(id, JobState::kHeld);
  EXPECT_EQ(status.message, "JobHeldUser");
  EXPECT_THAT(*cluster().Command({"scontrol", "show", "job", id}), HasSubstr("TimeLimit=00:07:00"));
  ASSERT_TRUE(cluster().Command({"scontrol", "release", id}).ok());
  EXPECT_EQ(WaitForEnd(id).state, JobState::kCompleted);
}

TEST_F(SlurmTest, JobBehindAFullClusterHasAnEstimateAndLiveNames) {
  JobSpec first = harness().Endless("full-first");
  first.nodes = 2;
  first.cpus = 8;
  first.walltime = seconds(600);
  JobSpec second = first;
  second.name = "full-second";
  const std::string running = Submit(first);
  WaitForState(running, JobState::kRunning);
  const std::string waiting = Submit(second);
  EXPECT_TRUE(WaitUntil([&] {
    const auto start = adapter().Estimate(waiting);
    return start.ok() && *start && **start > SystemClock().Now();
  }));
  EXPECT_EQ(*adapter().Estimate(running), std::nullopt);
  const auto hypothetical = adapter().Estimate(second);
  ASSERT_TRUE(hypothetical.ok()) << hypothetical.status();
  EXPECT_TRUE(*hypothetical);
  std::vector<std::string> names;
  const auto live = adapter().ListLive("full-");
  ASSERT_TRUE(live.ok()) << live.status();
  for (const NamedJob& job : *live) names.push_back(job.name + job.id);
  EXPECT_THAT(names,
              testing::UnorderedElementsAre("full-first" + running, "full-second" + waiting));
  ASSERT_TRUE(adapter().Cancel(waiting).ok());
  const JobStatus cancelled = WaitForEnd(waiting);
  EXPECT_EQ(cancelled.state, JobState::kCancelled);
  EXPECT_EQ(cancelled.started, std::nullopt);
  ASSERT_TRUE(adapter().Cancel(running).ok());
  EXPECT_EQ(WaitForEnd(running).state, JobState::kCancelled);
}

TEST_F(SlurmTest, CancelledJobMayStillWriteWhatItHas) {
  const std::string id = Submit(harness().Shell(
      "polite", "trap 'echo partial > \"$1\"; exit 0' TERM; while :; do sleep 0.1; done"));
  WaitForRuns("polite", 1);
  ASSERT_TRUE(adapter().Cancel(id).ok());
  EXPECT_EQ(WaitForEnd(id).ended.has_value(), true);
  EXPECT_EQ(harness().Text(harness().FileOf("polite")), "partial\n");
}

TEST_F(SlurmTest, WarningReachesTheCommandBeforeItsTimeIsOver) {
  JobSpec spec =
      harness().Shell("warned", "trap 'echo partial > \"$1\"' TERM; while :; do sleep 0.1; done");
  spec.walltime = seconds(60);
  spec.warning_before = seconds(45);
  const std::string id = Submit(spec);
  WaitForText(harness().FileOf("warned"), "partial");
  EXPECT_EQ(StatusOf(id).state, JobState::kRunning);
  cluster().EndTimeNow(id);
  const JobStatus status = WaitForEnd(id);
  EXPECT_EQ(status.state, JobState::kTimedOut);
  EXPECT_EQ(status.raw_state, "TIMEOUT");
}

TEST_F(SlurmTest, PreemptionWithCancelEndsTheJob) {
  JobSpec low = harness().Endless("low-cancel");
  low.nodes = 2;
  low.cpus = 8;
  low.queue = "low-cancel";
  const std::string id = Submit(low);
  WaitForState(id, JobState::kRunning);
  JobSpec high = harness().Exiting("high-cancel", 0);
  high.queue = "high";
  const std::string winner = Submit(high);
  const JobStatus status = WaitForEnd(id);
  EXPECT_EQ(status.state, JobState::kPreempted);
  EXPECT_EQ(WaitForEnd(winner).state, JobState::kCompleted);
}

TEST_F(SlurmTest, PreemptionWithRequeueRunsTheJobAgain) {
  JobSpec low = harness().Gated("low-requeue");
  low.nodes = 2;
  low.cpus = 8;
  low.queue = "low-requeue";
  const std::string id = Submit(low);
  WaitForRuns("low-requeue", 1);
  JobSpec high = harness().Exiting("high-requeue", 0);
  high.queue = "high";
  const std::string winner = Submit(high);
  bool ended = false;
  WaitFor(id, [&](const JobStatus& s) {
    ended = ended || IsTerminal(s.state);
    return s.restarts == 1 && s.state == JobState::kRunning;
  });
  EXPECT_FALSE(ended);
  WaitForRuns("low-requeue", 2);
  harness().OpenGate("low-requeue");
  const JobStatus status = WaitForEnd(id);
  EXPECT_EQ(status.state, JobState::kCompleted);
  EXPECT_EQ(status.restarts, 1);
  EXPECT_EQ(harness().Runs("low-requeue"), 2);
  EXPECT_EQ(WaitForEnd(winner).state, JobState::kCompleted);
}

TEST_F(SlurmTest, DeadNodeEndsAJobOrMovesIt) {
  const std::string moving =
      Submit(harness().Shell("moving", "echo $SLURMD_NODENAME >> \"$1\"; exec sleep 1000"));
  WaitForText(harness().FileOf("moving"), "\n");
  std::string node = harness().Text(harness().FileOf("moving"));
  node.pop_back();
  JobSpec spec = harness().Endless("staying");
  spec.directives = {"--no-requeue", "--nodelist=" + node};
  const std::string staying = Submit(spec);
  WaitForRuns("staying", 1);
  cluster().Kill("slurmd-" + node);
  EXPECT_EQ(WaitForEnd(staying).state, JobState::kNodeFailed);
  EXPECT_EQ(
      WaitFor(moving,
              [](const JobStatus& s) { return s.restarts == 1 && s.state == JobState::kRunning; })
          .ended,
      std::nullopt);
  WaitForRuns("moving", 2);
  ASSERT_TRUE(adapter().Cancel(moving).ok());
  EXPECT_EQ(WaitForEnd(moving).state, JobState::kCancelled);
  const Status back = cluster().Begin("slurmd-" + node);
  EXPECT_TRUE(back.ok()) << back;
}

TEST_F(SlurmTest, ControllerKilledMidJobIsUnknownThenTheJobGoesOn) {
  const std::string id = Submit(harness().Gated("survivor"));
  WaitForRuns("survivor", 1);
  WaitForState(id, JobState::kRunning);
  // Slurm itself starts a job twice whose start was not yet on its disk.
  ASSERT_TRUE(cluster().AwaitSavedState());
  cluster().Kill("slurmctld");
  harness().options().command_timeout = seconds(3);
  harness().Restart();
  const JobStatus lost = StatusOf(id);
  EXPECT_EQ(lost.state, JobState::kUnknown);
  EXPECT_FALSE(lost.message.empty());
  EXPECT_EQ(adapter().Submit(harness().Exiting("later", 0)).status().code(),
            StatusCode::kUnavailable);
  EXPECT_EQ(adapter().Version().status().code(), StatusCode::kUnavailable);

  ASSERT_TRUE(cluster().Begin("slurmctld").ok());
  harness().options().command_timeout = seconds(20);
  harness().options().settle = seconds(1);
  harness().Restart();
  WaitForState(id, JobState::kRunning);
  harness().OpenGate("survivor");
  EXPECT_EQ(WaitForEnd(id).state, JobState::kCompleted);
  EXPECT_EQ(harness().Runs("survivor"), 1);
  std::string later;
  EXPECT_TRUE(WaitUntil([&] {
    const auto again = adapter().Submit(harness().Exiting("later", 0));
    if (again.ok()) later = *again;
    return again.ok();
  }));
  EXPECT_EQ(WaitForEnd(later).state, JobState::kCompleted);
  EXPECT_EQ(harness().Runs("later"), 1);
}

TEST_F(SlurmTest, FrozenControllerIsUnknownNeverGone) {
  const std::string id = Submit(harness().Gated("frozen"));
  WaitForState(id, JobState::kRunning);
  harness().options().command_timeout = seconds(2);
  harness().Restart();
  cluster().Freeze("slurmctld");
  EXPECT_EQ(StatusOf(id).state, JobState::kUnknown);
  EXPECT_EQ(StatusOf(id).state, JobState::kUnknown);
  EXPECT_EQ(adapter().Version().status().code(), StatusCode::kUnavailable);
  EXPECT_FALSE(adapter().Find("nobody").ok());
  cluster().Thaw("slurmctld");
  harness().options().command_timeout = seconds(20);
  harness().Restart();
  WaitForState(id, JobState::kRunning);
  harness().OpenGate("frozen");
  EXPECT_EQ(WaitForEnd(id).state, JobState::kCompleted);
  EXPECT_EQ(harness().Runs("frozen"), 1);
}

TEST_F(SlurmTest, SubmissionWhoseAnswerWasLostIsFoundNotRepeated) {
  harness().options().command_directory =
      ProgramsWith("#!/bin/bash\n" + SlurmCluster::ProgramPath("sbatch") +
                   " \"$@\" > /dev/null\nexec sleep 1000\n");
  harness().options().command_timeout = seconds(3);
  harness().Restart();
  const JobSpec spec = harness().Gated("lost-answer");
  EXPECT_EQ(adapter().Submit(spec).status().code(), StatusCode::kUnavailable);
  harness().Restart();
  const std::string id = Submit(spec);
  EXPECT_EQ(*adapter().Find("lost-answer"), id);
  EXPECT_EQ(CountOfJobs("lost-answer"), 1);
  harness().OpenGate("lost-answer");
  EXPECT_EQ(WaitForEnd(id).state, JobState::kCompleted);
  EXPECT_EQ(harness().Runs("lost-answer"), 1);
}

TEST_F(SlurmTest, SubmissionThatNeverArrivedIsRepeatedOnce) {
  const std::string marker = harness().FileOf("first-call");
  harness().options().command_directory = ProgramsWith(
      "#!/bin/bash\nif [ ! -e '" + marker + "' ]; then touch '" + marker +
      "'; exec sleep 1000; fi\nexec " + SlurmCluster::ProgramPath("sbatch") + " \"$@\"\n");
  harness().options().command_timeout = seconds(3);
  harness().options().settle = seconds(2);
  harness().Restart();
  const JobSpec spec = harness().Exiting("never-arrived", 0);
  std::string id;
  EXPECT_EQ(adapter().Submit(spec).status().code(), StatusCode::kUnavailable);
  EXPECT_TRUE(WaitUntil([&] {
    const auto again = adapter().Submit(spec);
    if (again.ok()) id = *again;
    return again.ok();
  }));
  EXPECT_EQ(WaitForEnd(id).state, JobState::kCompleted);
  EXPECT_EQ(harness().Runs("never-arrived"), 1);
  EXPECT_EQ(CountOfJobs("never-arrived"), 1);
}

TEST_F(SlurmTest, TwoJobsOfOneNameDoTheWorkOnce) {
  const JobSpec spec = harness().Gated("twice");
  const std::string id = Submit(spec);
  WaitForRuns("twice", 1);
  const auto second =
      cluster().Command({"sbatch", "--parsable", JoinPath(spec.working_directory, "job.sh")});
  ASSERT_TRUE(second.ok()) << second.status();
  const std::string twin = second->substr(0, second->find('\n'));
  EXPECT_EQ(WaitForEnd(twin).exit_code, scheduler_adapters::kClaimedExit);
  harness().OpenGate("twice");
  EXPECT_EQ(WaitForEnd(id).state, JobState::kCompleted);
  EXPECT_EQ(harness().Runs("twice"), 1);
}

TEST_F(SlurmTest, VersionNamesTheScheduler) {
  const auto version = adapter().Version();
  ASSERT_TRUE(version.ok()) << version.status();
  EXPECT_THAT(*version, testing::ContainsRegex("^slurm [0-9]+[.][0-9]+"));
}

// A controller that soon forgets, without accounting.
class ForgetfulSlurmTest : public OnCluster<ForgetfulSlurmTest> {
 public:
  static SlurmClusterOptions Options() { return {.nodes = 1, .min_job_age = seconds(2)}; }
};

TEST_F(ForgetfulSlurmTest, ForgottenJobsEndedAsTheirMarksSay) {
  const std::string good = Submit(harness().Exiting("good", 0));
  const std::string bad = Submit(harness().Exiting("bad", 7));
  WaitForRuns("good", 1);
  WaitForRuns("bad", 1);
  ASSERT_TRUE(WaitUntil([&] { return !ControllerKnows(good) && !ControllerKnows(bad); }));
  EXPECT_EQ(WaitForEnd(good).state, JobState::kCompleted);
  EXPECT_EQ(StatusOf(good).raw_state, "forgotten");
  EXPECT_EQ(WaitForEnd(bad).state, JobState::kFailed);
  EXPECT_EQ(StatusOf(bad).exit_code, 7);
  EXPECT_EQ(adapter().Submit(harness().Exiting("good", 0)).value(), good);
}

// A controller that soon forgets, and accounting that remembers.
class AccountingSlurmTest : public OnCluster<AccountingSlurmTest> {
 public:
  static SlurmClusterOptions Options() {
    return {.nodes = 1, .accounting = true, .min_job_age = seconds(2)};
  }

 protected:
  bool IsRecorded(const std::string& id, const std::string& state) {
    const auto recorded = cluster().Command({"sacct", "-X", "-n", "-P", "-j", id, "-o", "State"});
    return recorded.ok() && recorded->starts_with(state);
  }
  // The controller has forgotten it and accounting has its end.
  bool AwaitRecord(const std::string& id, const std::string& state) {
    return WaitUntil([&] { return !ControllerKnows(id) && IsRecorded(id, state); });
  }
};

TEST_F(AccountingSlurmTest, ForgottenJobsEndedAsAccountingSays) {
  JobSpec spec = harness().Exiting("recorded", 7);
  spec.cpus = 2;
  const std::string failed = Submit(spec);
  JobSpec held = harness().Exiting("never-ran", 0);
  held.directives = {"--hold"};
  const std::string cancelled = Submit(held);
  const std::string killed = Submit(harness().Endless("killed"));
  WaitForRuns("killed", 1);
  // By somebody else: no word of it in our book.
  ASSERT_TRUE(cluster().Command({"scancel", killed, cancelled}).ok());
  ASSERT_TRUE(AwaitRecord(failed, "FAILED"));
  ASSERT_TRUE(AwaitRecord(cancelled, "CANCELLED"));
  ASSERT_TRUE(AwaitRecord(killed, "CANCELLED"));
  const std::vector<std::string> ids = {cancelled, failed, killed};
  const std::vector<JobStatus> statuses = adapter().Query(ids);
  EXPECT_EQ(statuses[0].state, JobState::kCancelled);
  EXPECT_THAT(statuses[0].raw_state, StartsWith("CANCELLED by "));
  EXPECT_EQ(statuses[0].started, std::nullopt);
  EXPECT_EQ(statuses[1].state, JobState::kFailed);
  EXPECT_EQ(statuses[1].raw_state, "FAILED");
  EXPECT_EQ(statuses[1].exit_code, 7);
  EXPECT_EQ(statuses[1].usage.cpus, 2);
  EXPECT_TRUE(statuses[1].submitted && statuses[1].started && statuses[1].ended);
  EXPECT_EQ(statuses[2].state, JobState::kCancelled);
}

TEST_F(AccountingSlurmTest, NamesAreFoundInAccountingWithoutABook) {
  const std::string id = Submit(harness().Exiting("only-in-accounting", 0));
  ASSERT_TRUE(AwaitRecord(id, "COMPLETED"));
  SlurmHarness other(cluster());
  const auto found = other.adapter().Find("only-in-accounting");
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(*found, id);
  EXPECT_EQ(*other.adapter().Find("only-in"), std::nullopt);
}

TEST_F(AccountingSlurmTest, RequeuedJobIsChargedForAllItsRuns) {
  const std::string id = Submit(harness().Shell(
      "charged", "sleep 2; echo slept >> \"$1\"; while [ ! -e \"$1.gate\" ]; do sleep 0.1; done"));
  WaitForText(harness().FileOf("charged"), "slept\n");
  ASSERT_TRUE(cluster().Command({"scontrol", "requeue", id}).ok());
  WaitForRuns("charged", 2);
  harness().OpenGate("charged");
  const JobStatus status = WaitForEnd(id);
  EXPECT_EQ(status.state, JobState::kCompleted);
  EXPECT_EQ(status.restarts, 1);
  ASSERT_TRUE(status.started && status.ended);
  // Both slept for two seconds.
  EXPECT_GE(status.usage.elapsed, (*status.ended - *status.started) + seconds(1));
}

// What the daemon books for a job that ran three times is what accounting has of all its runs.
TEST_F(AccountingSlurmTest, AllRunsTogetherAreWhatAccountingCounts) {
  const std::string id = Submit(harness().Shell(
      "summed", "sleep 2; echo slept >> \"$1\"; while [ ! -e \"$1.gate\" ]; do sleep 0.1; done"));
  for (int run = 1; run <= 2; ++run) {
    WaitForText(harness().FileOf("summed"), run == 1 ? "slept\n" : "slept\nslept\n");
    EXPECT_EQ(StatusOf(id).state, JobState::kRunning);  // so that the daemon has seen this run
    ASSERT_TRUE(cluster().Command({"scontrol", "requeue", id}).ok());
    WaitForRuns("summed", run + 1);
  }
  harness().OpenGate("summed");
  const JobStatus status = WaitForEnd(id);
  EXPECT_EQ(status.state, JobState::kCompleted);
  EXPECT_EQ(status.restarts, 2);
  std::int64_t sum = 0;
  int runs = 0;
  EXPECT_TRUE(WaitUntil([&] {
    const auto said =
        cluster().Command({"sacct", "-D", "-X", "-n", "-P", "-j", id, "-o", "ElapsedRaw,State"});
    if (!said.ok() || said->find("COMPLETED") == said->npos) return false;
    sum = runs = 0;
    std::istringstream lines(*said);
    for (std::string line; std::getline(lines, line); ++runs) sum += std::stoll(line);
    return runs == 3;
  }));
  EXPECT_EQ(runs, 3);
  EXPECT_GE(sum, 6);
  // Each run's begin and end are whole seconds.
  EXPECT_NEAR(static_cast<double>(status.usage.elapsed.count()), static_cast<double>(sum), runs);
}

TEST_F(AccountingSlurmTest, DatabaseThatIsDownMakesForgottenJobsUnknownUntilItIsBack) {
  const std::string id = Submit(harness().Exiting("patient", 0));
  ASSERT_TRUE(AwaitRecord(id, "COMPLETED"));
  cluster().Kill("slurmdbd");
  const JobStatus unknown = StatusOf(id);
  EXPECT_EQ(unknown.state, JobState::kUnknown);
  EXPECT_THAT(unknown.message, HasSubstr("sacct"));
  const std::string meanwhile = Submit(harness().Gated("meanwhile"));
  WaitForState(meanwhile, JobState::kRunning);
  harness().OpenGate("meanwhile");
  ASSERT_TRUE(cluster().Begin("slurmdbd").ok());
  EXPECT_EQ(WaitForEnd(id).state, JobState::kCompleted);
  EXPECT_EQ(WaitForEnd(meanwhile).state, JobState::kCompleted);
}

}  // namespace
}  // namespace tributary::integration

int main(int argc, char** argv) {
  return tributary::integration::RunTestsOrSkip(argc, argv, /*accounting=*/true);
}

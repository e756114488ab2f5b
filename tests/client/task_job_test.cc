// The life of a task's jobs, over a scripted scheduler in virtual time.
#include "client/task_job.h"

#include <gtest/gtest.h>
#include <sys/mount.h>

#include <algorithm>

#include "client/job_rendering.h"
#include "core/files.h"
#include "scheduler_adapters/fake_adapter.h"

namespace tributary::client {
namespace {

using scheduler_adapters::FakeCluster;
using scheduler_adapters::FakeJobPlan;
using scheduler_adapters::FakeSchedulerAdapter;
using scheduler_adapters::JobSpec;
using scheduler_adapters::JobState;
using scheduler_adapters::JobStatus;
using std::chrono::hours;
using std::chrono::seconds;

class TaskJobsTest : public testing::Test {
 protected:
  TaskJobsTest() {
    config_.job.trainer = {"/bin/true"};
    config_.workspace = scratch_.path();
    record_.assignment.set_task("chem.r1.a.t1");
    record_.assignment.set_campaign("chem");
    record_.assignment.set_global_digest("d");
    record_.phase = Phase::kSubmitting;
    record_.job_name = task_jobs_.FirstName("chem.r1.a.t1");
    task_.walltime_seconds = 3600;
    EXPECT_TRUE(MakeDirectories(Workspace().directory()).ok());
  }

  TaskWorkspace Workspace() { return {config_.workspace, record_.assignment}; }

  // Plans by the attempt that the job's name tells; time goes on with every poll.
  FakeJobPlan Plan(const JobSpec& spec) {
    const std::size_t at = spec.name.find(".a", spec.name.size() - 4);
    const int attempt = at == std::string::npos ? 1 : std::stoi(spec.name.substr(at + 2));
    return plan_(attempt);
  }
  TaskHost Host() {
    return {[this] {
              clock_.Advance(step_);
              return keep_going_;
            },
            [this] {
              saved_.push_back(record_.attempt);
              return OkStatus();
            },
            [this](const JobNews& news) { phases_.push_back(news.phase); },
            [](std::chrono::milliseconds) {}};
  }
  Result<JobStatus> Run(bool found = false) {
    return task_jobs_.Run(record_, Workspace(), task_, found, Host());
  }
  void LeaveResult() {
    const std::string update = Workspace().directory() + "/update";
    EXPECT_TRUE(MakeDirectories(update).ok());
    EXPECT_TRUE(WriteFileAtomic(update + "/result.json", TaskResult().ToJson()).ok());
  }

  TemporaryDirectory scratch_ = *TemporaryDirectory::Create("task-job-");
  FakeClock clock_{Timestamp(seconds(1'763'700'000))};
  std::function<FakeJobPlan(int attempt)> plan_ = [](int) { return FakeJobPlan(); };
  FakeCluster cluster_{clock_, [this](const JobSpec& spec) { return Plan(spec); }};
  JobMonitor monitor_{std::make_unique<FakeSchedulerAdapter>(cluster_),
                      std::chrono::milliseconds(1)};
  std::unique_ptr<SiteLedger> ledger_ = *SiteLedger::Open(scratch_.path() + "/ledger.db");
  ClientConfig config_;
  TaskJobs task_jobs_{config_, "alpha", clock_, monitor_, *ledger_};
  TaskRecord record_;
  TaskFile task_;
  bool keep_going_ = true;
  std::chrono::microseconds step_ = seconds(1);
  std::vector<std::int64_t> saved_;
  std::vector<std::string> phases_;
};

TEST_F(TaskJobsTest, ALostNodeCostsAnotherAttempt) {
  plan_ = [this](int attempt) {
    FakeJobPlan plan;
    plan.queue_time = seconds(100);
    plan.run_time = seconds(50);
    if (attempt == 1) plan.end_state = JobState::kPreempted;
    if (attempt == 2) plan.end_state = JobState::kNodeFailed;
    if (attempt == 3) {
      plan.run = [this](const JobSpec&) {
        LeaveResult();
        return 0;
      };
    }
    return plan;
  };
  const auto status = Run();
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(status->state, JobState::kCompleted);
  EXPECT_EQ(cluster_.submissions(), 3);
  EXPECT_EQ(record_.attempt, 3);
  EXPECT_TRUE(record_.job_name.ends_with(".a3"));
  EXPECT_NEAR(record_.queue_seconds, 300, 60);
  EXPECT_NEAR(record_.node_seconds, 150, 60);
  EXPECT_EQ(ledger_->Jobs("chem")->size(), 3u);
  // Each step is durable before the next: submitted, again, submitted, again, submitted.
  EXPECT_EQ(saved_, (std::vector<std::int64_t>{1, 2, 2, 3, 3}));
}

TEST_F(TaskJobsTest, AttemptsHaveALimit) {
  config_.job.max_attempts = 2;
  plan_ = [](int) {
    FakeJobPlan plan;
    plan.end_state = JobState::kPreempted;
    return plan;
  };
  EXPECT_EQ(Run()->state, JobState::kPreempted);
  EXPECT_EQ(cluster_.submissions(), 2);
}

TEST_F(TaskJobsTest, APreemptedJobThatLeftAPartialResultIsNotRepeated) {
  plan_ = [this](int) {
    FakeJobPlan plan;
    plan.end_state = JobState::kPreempted;
    plan.run = [this](const JobSpec&) {
      LeaveResult();
      return 0;
    };
    return plan;
  };
  EXPECT_EQ(Run()->state, JobState::kPreempted);
  EXPECT_EQ(cluster_.submissions(), 1);
}

// Told to stop before its first step, it left a failure: the next job would take it for its own.
TEST_F(TaskJobsTest, AFailureOfAPreemptedJobIsNotTheTasks) {
  plan_ = [this](int attempt) {
    FakeJobPlan plan;
    if (attempt == 1) plan.end_state = JobState::kPreempted;
    plan.run = [this, attempt](const JobSpec&) {
      const std::string update = Workspace().directory() + "/update";
      EXPECT_FALSE(PathExists(update));
      EXPECT_TRUE(MakeDirectories(update).ok());
      TaskResult result;
      if (attempt == 1) result.completion = Completion::kFailed;
      EXPECT_TRUE(WriteFileAtomic(update + "/result.json", result.ToJson()).ok());
      return attempt == 1 ? 1 : 0;
    };
    return plan;
  };
  const auto status = Run();
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(status->state, JobState::kCompleted);
  EXPECT_EQ(cluster_.submissions(), 2);
  EXPECT_EQ(Workspace().ReadResult()->completion, Completion::kComplete);
}

TEST_F(TaskJobsTest, AJobThatFailsByItselfIsNotRepeated) {
  plan_ = [](int) {
    FakeJobPlan plan;
    plan.exit_code = 3;
    return plan;
  };
  EXPECT_EQ(Run()->state, JobState::kFailed);
  EXPECT_EQ(cluster_.submissions(), 1);
}

// A file system of its own that holds little, where this user may mount one.
class SmallFileSystem {
 public:
  explicit SmallFileSystem(std::string path) : path_(std::move(path)) {
    mounted_ = mount("tmpfs", path_.c_str(), "tmpfs", 0, "size=1m") == 0;
  }
  ~SmallFileSystem() {
    if (mounted_) umount2(path_.c_str(), MNT_DETACH);
  }
  bool mounted() const { return mounted_; }
  void Fill() {
    while (
        WriteFileAtomic(path_ + "/fill" + std::to_string(++files_), std::string(4096, 'x')).ok()) {
    }
  }
  void Clear() {
    for (; files_ > 0; --files_) (void)RemoveFile(path_ + "/fill" + std::to_string(files_));
  }

 private:
  const std::string path_;
  bool mounted_ = false;
  int files_ = 0;
};

TEST_F(TaskJobsTest, AJobThatFailedOnAFullDiskIsRepeatedWhenThereIsRoom) {
  SmallFileSystem disk(config_.workspace);
  if (!disk.mounted()) GTEST_SKIP() << "this user may not mount a file system";
  ASSERT_TRUE(MakeDirectories(Workspace().directory()).ok());
  plan_ = [&](int attempt) {
    FakeJobPlan plan;
    plan.run = [&, attempt](const JobSpec&) {
      if (attempt == 1) {
        LeaveResult();  // of a failure: it could not write
        disk.Fill();
        return 1;
      }
      LeaveResult();
      return 0;
    };
    return plan;
  };
  int pauses = 0;
  TaskHost host = Host();
  host.pause = [&](std::chrono::milliseconds) {
    if (++pauses == 3) disk.Clear();
  };
  const auto status = task_jobs_.Run(record_, Workspace(), task_, false, host);
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(status->state, JobState::kCompleted);
  EXPECT_EQ(record_.attempt, 2);
  EXPECT_EQ(pauses, 3);
}

TEST_F(TaskJobsTest, AFullQueueIsAskedAgainAndSaysSo) {
  int refusals = 3;
  std::vector<std::string> said;
  TaskHost host = Host();
  cluster_.SetOutage(ResourceExhaustedError("refused for now: would exceed the user's limit"));
  host.tell = [&](const JobNews& news) {
    if (news.phase == "submitting") said.push_back(news.message);
  };
  host.pause = [&](std::chrono::milliseconds) {
    if (--refusals == 0) cluster_.SetOutage(OkStatus());
  };
  EXPECT_EQ(task_jobs_.Run(record_, Workspace(), task_, false, host)->state, JobState::kCompleted);
  ASSERT_EQ(said.size(), 4u);
  EXPECT_NE(said[1].find("would exceed"), std::string::npos);
  EXPECT_EQ(cluster_.submissions(), 1);
}

TEST_F(TaskJobsTest, AJobWithoutProgressIsCancelled) {
  config_.job.stall_timeout = seconds(600);
  step_ = seconds(60);
  plan_ = [](int) {
    FakeJobPlan plan;
    plan.run_time = hours(1000);
    return plan;
  };
  task_.walltime_seconds = 0;
  const auto status = Run();
  EXPECT_EQ(status->state, JobState::kCancelled);
  EXPECT_NE(status->message.find("no progress for 600 s"), std::string::npos) << status->message;
  EXPECT_EQ(cluster_.submissions(), 1);
}

TEST_F(TaskJobsTest, AClockThatIsSetForwardStallsNothing) {
  config_.job.stall_timeout = seconds(600);
  plan_ = [](int) {
    FakeJobPlan plan;
    plan.run_time = hours(1);
    return plan;
  };
  task_.walltime_seconds = 0;
  TaskHost host = Host();
  host.keep_going = [&] {  // and time itself goes on by a second
    clock_.Advance(seconds(1));
    clock_.Set(clock_.Now() + seconds(1800));
    return true;
  };
  EXPECT_EQ(task_jobs_.Run(record_, Workspace(), task_, false, host)->state, JobState::kCompleted);
}

TEST_F(TaskJobsTest, ASuspendedJobIsNotStalled) {
  config_.job.stall_timeout = seconds(600);
  step_ = seconds(60);
  plan_ = [](int) {
    FakeJobPlan plan;
    plan.run_time = hours(2);
    plan.suspended = true;
    return plan;
  };
  task_.walltime_seconds = 0;
  EXPECT_EQ(Run()->state, JobState::kCompleted);
  EXPECT_NE(std::find(phases_.begin(), phases_.end(), "suspended"), phases_.end());
}

TEST_F(TaskJobsTest, ACancellationIsRepeatedUntilTheEndIsSeen) {
  plan_ = [](int) {
    FakeJobPlan plan;
    plan.run_time = hours(100'000);
    return plan;
  };
  task_.walltime_seconds = 0;
  config_.job.stall_timeout = seconds(600);
  step_ = seconds(60);
  cluster_.ForgetCancellations(2);  // as PBS does while it puts a job back into the queue
  EXPECT_EQ(Run()->state, JobState::kCancelled);

  record_.phase = Phase::kSubmitted;
  record_.job_name += ".a2";
  JobSpec spec;
  spec.name = record_.job_name;
  spec.working_directory = "/";
  spec.command = {"/bin/true"};
  spec.stdout_path = spec.stderr_path = "/dev/null";
  record_.job = *monitor_.Submit(spec);
  cluster_.ForgetCancellations(2);
  EXPECT_TRUE(task_jobs_.End(
      record_, [] { return true; }, [](std::chrono::milliseconds) {}));
  EXPECT_TRUE(monitor_.ListLive("")->empty());
}

TEST_F(TaskJobsTest, AJobThatNobodyKnowsAnyMoreHoldsNoWorker) {
  plan_ = [](int) {
    FakeJobPlan plan;
    plan.run_time = hours(1000);
    return plan;
  };
  record_.phase = Phase::kSubmitted;  // by an earlier life, whose adapter's notes are lost
  record_.job = "fake-77";
  EXPECT_TRUE(task_jobs_.End(
      record_, [] { return true; }, [](std::chrono::milliseconds) {}));
}

TEST_F(TaskJobsTest, AJobThatIsOnlyKnownByItsNameIsEnded) {
  plan_ = [](int) {
    FakeJobPlan plan;
    plan.run_time = hours(1000);
    return plan;
  };
  JobSpec spec;
  spec.name = record_.job_name;
  spec.working_directory = "/";
  spec.command = {"/bin/true"};
  spec.stdout_path = spec.stderr_path = "/dev/null";
  ASSERT_TRUE(monitor_.Submit(spec).ok());
  record_.phase = Phase::kSubmitted;
  record_.job = "fake-77";  // another id than the one that the scheduler tells by its name
  EXPECT_TRUE(task_jobs_.End(
      record_, [] { return true; }, [](std::chrono::milliseconds) {}));
  EXPECT_TRUE(monitor_.ListLive("trib-")->empty());
}

TEST_F(TaskJobsTest, ARunningJobThatNobodyKnowsAnyMoreCostsAnAttempt) {
  plan_ = [this](int attempt) {
    FakeJobPlan plan;
    plan.run_time = hours(1000);
    plan.forgotten_after = seconds(100);
    if (attempt == 2) {
      plan.run_time = seconds(1);
      plan.forgotten_after.reset();
      plan.run = [this](const JobSpec&) {
        LeaveResult();
        return 0;
      };
    }
    return plan;
  };
  task_.walltime_seconds = 0;
  step_ = seconds(10);
  const auto status = Run();
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(status->state, JobState::kCompleted);
  EXPECT_EQ(record_.attempt, 2);
}

TEST_F(TaskJobsTest, AnOutageIsNoLoss) {
  plan_ = [this](int) {
    FakeJobPlan plan;
    plan.run_time = hours(1000);
    plan.run = [this](const JobSpec&) {
      cluster_.SetOutage(UnavailableError("down"));
      return 0;
    };
    return plan;
  };
  task_.walltime_seconds = 0;
  TaskHost host = Host();
  int polls = 0;
  host.keep_going = [&] {
    clock_.Advance(seconds(100));
    return ++polls < 300;
  };
  EXPECT_EQ(task_jobs_.Run(record_, Workspace(), task_, false, host).status().code(),
            StatusCode::kCancelled);
  EXPECT_EQ(record_.attempt, 1);
  EXPECT_EQ(record_.phase, Phase::kSubmitted);
}

TEST_F(TaskJobsTest, JobsOfTheEarlierNamesAreKnownAndTheirOrphansEnded) {
  plan_ = [](int) {
    FakeJobPlan plan;
    plan.run_time = hours(1000);
    return plan;
  };
  const std::string prefix = OldJobNamePrefix(config_, "alpha");
  JobSpec spec;
  spec.working_directory = "/";
  spec.command = {"/bin/true"};
  spec.stdout_path = spec.stderr_path = "/dev/null";
  const std::string known = JobName(prefix, "chem.r1.a.t1", 1);
  for (const std::string& name : {known, JobName(prefix, "chem.r9.a.t1", 2)}) {
    spec.name = name;
    ASSERT_TRUE(monitor_.Submit(spec).ok());
  }
  task_jobs_.SweepOrphans([&] { return std::vector<std::string>{"chem.r1.a.t1"}; },
                          [] { return true; }, [](std::chrono::milliseconds) {});
  const auto live = *monitor_.ListLive("");
  ASSERT_EQ(live.size(), 1u);
  EXPECT_EQ(live[0].name, known);
}

TEST_F(TaskJobsTest, ProgressKeepsAJobAlive) {
  config_.job.stall_timeout = seconds(600);
  step_ = seconds(60);
  plan_ = [](int) {
    FakeJobPlan plan;
    plan.run_time = hours(2);
    return plan;
  };
  task_.walltime_seconds = 0;
  TaskHost host = Host();
  std::string lines;
  host.keep_going = [&] {
    clock_.Advance(step_);
    lines += "{}\n";
    return WriteFileAtomic(Workspace().directory() + "/progress.jsonl", lines).ok();
  };
  EXPECT_EQ(task_jobs_.Run(record_, Workspace(), task_, false, host)->state, JobState::kCompleted);
}

TEST_F(TaskJobsTest, WhatTheAllocationDoesNotHoldIsNotSubmitted) {
  config_.allocation.per_campaign = 0.5;                            // the job may take an hour
  EXPECT_EQ(Run().status().code(), StatusCode::kPermissionDenied);  // said as a refusal
  EXPECT_EQ(cluster_.submissions(), 0);
  EXPECT_TRUE(ledger_->Jobs()->empty());
}

TEST_F(TaskJobsTest, AJobThatWasSubmittedBeforeACrashIsFound) {
  JobSpec spec;
  spec.name = record_.job_name;
  spec.working_directory = "/";
  spec.command = {"/bin/true"};
  spec.stdout_path = spec.stderr_path = "/dev/null";
  const std::string id = *monitor_.Submit(spec);
  EXPECT_EQ(Run(/*found=*/true)->id, id);
  EXPECT_EQ(cluster_.submissions(), 1);
}

TEST_F(TaskJobsTest, StoppingLeavesTheJobRunning) {
  plan_ = [](int) {
    FakeJobPlan plan;
    plan.run_time = hours(1000);
    return plan;
  };
  task_.walltime_seconds = 0;
  int polls = 0;
  TaskHost host = Host();
  host.keep_going = [&] { return ++polls < 5; };
  EXPECT_EQ(task_jobs_.Run(record_, Workspace(), task_, false, host).status().code(),
            StatusCode::kCancelled);
  EXPECT_EQ(record_.phase, Phase::kSubmitted);
  EXPECT_EQ(monitor_.ListLive("trib-")->size(), 1u);
  // Withdrawn later: the job ends and is counted.
  EXPECT_TRUE(task_jobs_.End(
      record_, [] { return true; }, [](std::chrono::milliseconds) {}));
  EXPECT_TRUE(monitor_.ListLive("trib-")->empty());
  EXPECT_TRUE((*ledger_->Get(record_.job_name))->ended);
}

TEST_F(TaskJobsTest, OrphansAreCancelledAndOthersAreLeftAlone) {
  plan_ = [](int) {
    FakeJobPlan plan;
    plan.run_time = hours(1000);
    return plan;
  };
  JobSpec spec;
  spec.working_directory = "/";
  spec.command = {"/bin/true"};
  spec.stdout_path = spec.stderr_path = "/dev/null";
  const std::string known = task_jobs_.FirstName("chem.r1.a.t1");
  for (const std::string& name :
       {known, task_jobs_.FirstName("chem.r9.a.t1"), std::string("somebody-elses")}) {
    spec.name = name;
    ASSERT_TRUE(monitor_.Submit(spec).ok());
  }
  task_jobs_.SweepOrphans([&] { return std::vector<std::string>{"chem.r1.a.t1"}; },
                          [] { return true; }, [](std::chrono::milliseconds) {});
  const auto live = *monitor_.ListLive("");
  ASSERT_EQ(live.size(), 2u);
  for (const auto& job : live) EXPECT_NE(job.name, task_jobs_.FirstName("chem.r9.a.t1"));
}

TEST_F(TaskJobsTest, AQueuedJobIsToldWithAForecast) {
  plan_ = [](int) {
    FakeJobPlan plan;
    plan.queue_time = seconds(500);
    return plan;
  };
  std::optional<Forecast> said;
  TaskHost host = Host();
  host.tell = [&](const JobNews& news) {
    if (news.forecast) said = news.forecast;
  };
  ASSERT_TRUE(task_jobs_.Run(record_, Workspace(), task_, false, host).ok());
  ASSERT_TRUE(said);
  EXPECT_NEAR(said->p50, 500, 30);  // the scheduler's word: nothing is on record yet
}

TEST_F(TaskJobsTest, AJobWhoseSubmissionWasNotNotedIsEndedWithItsTask) {
  plan_ = [](int) {
    FakeJobPlan plan;
    plan.run_time = hours(1000);
    return plan;
  };
  JobSpec spec;
  spec.name = record_.job_name;
  spec.working_directory = "/";
  spec.command = {"/bin/true"};
  spec.stdout_path = spec.stderr_path = "/dev/null";
  ASSERT_TRUE(monitor_.Submit(spec).ok());
  record_.phase = Phase::kReady;  // a failure was signed before the job was looked for
  EXPECT_TRUE(task_jobs_.End(
      record_, [] { return true; }, [](std::chrono::milliseconds) {}));
  EXPECT_TRUE(monitor_.ListLive("trib-")->empty());
}

TEST_F(TaskJobsTest, AJobThatEndedInAnEarlierLifeIsNotTheResult) {
  plan_ = [this](int attempt) {
    FakeJobPlan plan;
    plan.run_time = hours(1000);
    if (attempt == 2) {
      plan.run_time = seconds(1);
      plan.run = [this](const JobSpec&) {
        LeaveResult();
        return 0;
      };
    }
    return plan;
  };
  task_.walltime_seconds = 0;
  JobSpec spec;
  spec.name = record_.job_name;
  spec.working_directory = "/";
  spec.command = {"/bin/true"};
  spec.stdout_path = spec.stderr_path = "/dev/null";
  ASSERT_TRUE(monitor_.Cancel(*monitor_.Submit(spec)).ok());  // as the sweep does
  clock_.Advance(seconds(100));
  EXPECT_EQ(Run()->state, JobState::kCompleted);
  EXPECT_EQ(record_.attempt, 2);
}

TEST_F(TaskJobsTest, ARefusedSubmissionLeavesNothingPending) {
  config_.job.trainer = {"relative"};  // no scheduler takes it
  task_.walltime_seconds = -1;
  EXPECT_EQ(Run().status().code(), StatusCode::kInvalidArgument);
  const auto jobs = *ledger_->Jobs();
  ASSERT_EQ(jobs.size(), 1u);
  EXPECT_TRUE(jobs[0].ended);
  EXPECT_EQ(jobs[0].charged, seconds(0));
}

// Each visit looks at the job for less than the stall timeout.
TEST_F(TaskJobsTest, AStallIsSeenOverSeveralVisits) {
  config_.job.stall_timeout = seconds(600);
  plan_ = [](int) {
    FakeJobPlan plan;
    plan.run_time = hours(1000);
    return plan;
  };
  task_.walltime_seconds = 0;
  int visits = 0;
  Result<JobStatus> status = CancelledError("");
  while (status.status().code() == StatusCode::kCancelled && visits < 30) {
    ++visits;
    TaskHost host = Host();
    int polls = 0;
    host.keep_going = [&] {
      clock_.Advance(seconds(20));
      return ++polls < 3;
    };
    status = task_jobs_.Run(record_, Workspace(), task_, visits > 1, host);
    clock_.Advance(seconds(60));
  }
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_NE(status->message.find("no progress for 600 s"), std::string::npos) << status->message;
  EXPECT_GE(visits, 3);
  EXPECT_LE(visits, 9);
}

}  // namespace
}  // namespace tributary::client

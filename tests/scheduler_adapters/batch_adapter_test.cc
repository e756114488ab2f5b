// What every batch system gets from the adapter, over a scripted one.
#include "scheduler_adapters/batch_adapter.h"

#include <gtest/gtest.h>

#include "core/files.h"

namespace tributary::scheduler_adapters {
namespace {

using std::chrono::seconds;

// A batch system that answers as it is told to.
struct Script {
  std::map<std::string, JobStatus> jobs;     // by id: what it knows
  std::map<std::string, std::string> names;  // id -> name
  Status outage;
  bool swallow_id = false;  // of a submission, by a wrapper
  bool hide_names = false;
  bool vanish = false;

  bool lose_answers = false;  // takes a submission, but does not say so
  Status refusal;
  int submissions = 0;
  std::vector<std::string> printed;  // by a submission, besides its id
  std::vector<std::string> cancelled;
};

class ScriptedSystem final : public BatchSystem {
 public:
  explicit ScriptedSystem(Script& script) : script_(script) {}

  std::string_view name() const override { return "scripted"; }
  bool IsJobId(std::string_view id) const override {
    return !id.empty() && id.find_first_not_of("0123456789") == std::string_view::npos;
  }
  ScriptHead HeadFor(const JobSpec&) const override { return {{}, "JOB", true}; }
  Result<std::vector<std::string>> SubmitScript(const JobSpec& spec,
                                                const std::string& path) override {
    EXPECT_TRUE(PathExists(path));
    TRIBUTARY_RETURN_IF_ERROR(script_.refusal);
    TRIBUTARY_RETURN_IF_ERROR(script_.outage);
    const std::string id = std::to_string(++script_.submissions);
    script_.jobs[id].state = JobState::kQueued;
    script_.names[id] = spec.name;
    if (script_.lose_answers) return UnavailableError("timed out");
    if (script_.vanish) {
      script_.jobs.erase(id);
      script_.names.erase(id);
    }
    std::vector<std::string> ids = script_.printed;
    ids.push_back(id);
    if (script_.swallow_id) ids.pop_back();
    return ids;
  }
  Result<std::optional<std::string>> NameOf(const std::string& id) override {
    TRIBUTARY_RETURN_IF_ERROR(script_.outage);
    const auto found = script_.names.find(id);
    if (found == script_.names.end()) return std::optional<std::string>();
    return std::optional(found->second);
  }
  Result<std::map<std::string, JobStatus>> List(std::span<const std::string> ids) override {
    TRIBUTARY_RETURN_IF_ERROR(script_.outage);
    std::map<std::string, JobStatus> known;
    for (const std::string& id : ids) {
      if (!script_.jobs.contains(id)) continue;
      known[id] = script_.jobs[id];
      known[id].id = id;
    }
    return known;
  }
  Result<std::vector<std::string>> FindByName(std::string_view name, bool) override {
    TRIBUTARY_RETURN_IF_ERROR(script_.outage);
    std::vector<std::string> ids;
    if (script_.hide_names) return ids;
    for (const auto& [id, other] : script_.names) {
      if (other == name) ids.push_back(id);
    }
    return ids;
  }
  Result<std::vector<NamedJob>> ListLive(std::string_view) override {
    return std::vector<NamedJob>();
  }
  Status CancelJob(const std::string& id) override {
    script_.cancelled.push_back(id);
    return script_.jobs.contains(id) ? OkStatus() : NotFoundError("no such job");
  }
  Result<std::optional<Timestamp>> EstimateQueued(const std::string&) override {
    return std::optional<Timestamp>();
  }
  Result<std::optional<Timestamp>> EstimateNew(const JobSpec&, const std::string&) override {
    return std::optional<Timestamp>();
  }
  Status CheckAccepted(const JobSpec&, const std::string&) override { return OkStatus(); }
  Result<std::string> Version() override { return std::string("scripted 1"); }

 private:
  Script& script_;
};

class BatchAdapterTest : public testing::Test {
 protected:
  BatchAdapterTest() { Restart(); }

  void Restart() {
    adapter_.reset();
    SchedulerOptions options;
    options.state_directory = scratch_.path() + "/state";
    options.settle = seconds(60);
    adapter_ = *BatchAdapter::Make(options, std::make_unique<ScriptedSystem>(script_), clock_);
  }
  JobSpec Spec(const std::string& name) {
    JobSpec spec;
    spec.name = name;
    spec.working_directory = scratch_.path();
    spec.command = {"/bin/true"};
    spec.stdout_path = spec.stderr_path = scratch_.path() + "/out";
    return spec;
  }
  JobStatus StatusOf(const std::string& id) {
    const std::vector<std::string> ids = {id};
    return adapter_->Query(ids).at(0);
  }
  void Mark(const std::string& name, const std::string& file, const std::string& text) {
    const std::string directory = scratch_.path() + "/.jobs/" + name;
    ASSERT_TRUE(MakeDirectories(directory).ok());
    ASSERT_TRUE(WriteFileAtomic(directory + "/" + file, text).ok());
  }

  TemporaryDirectory scratch_ = *TemporaryDirectory::Create("batch-");
  FakeClock clock_{Timestamp(seconds(1'763'700'000))};
  Script script_;
  std::unique_ptr<SchedulerAdapter> adapter_;
};

TEST_F(BatchAdapterTest, ALostAnswerIsFoundByName) {
  script_.lose_answers = true;
  EXPECT_EQ(adapter_->Submit(Spec("a")).status().code(), StatusCode::kUnavailable);
  script_.lose_answers = false;
  Restart();
  EXPECT_EQ(*adapter_->Submit(Spec("a")), "1");
  EXPECT_EQ(script_.submissions, 1);
  EXPECT_EQ(*adapter_->Find("a"), "1");
}

TEST_F(BatchAdapterTest, ASubmissionThatWasNotTakenIsRepeatedOnlyAfterItSettled) {
  script_.refusal = UnavailableError("no answer");
  EXPECT_FALSE(adapter_->Submit(Spec("a")).ok());
  script_.refusal = OkStatus();
  script_.outage = UnavailableError("down");
  clock_.Advance(seconds(1000));  // an outage says nothing about what was taken
  EXPECT_FALSE(adapter_->Submit(Spec("a")).ok());
  script_.outage = OkStatus();
  EXPECT_EQ(adapter_->Submit(Spec("a")).status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(adapter_->Find("a").status().code(), StatusCode::kUnavailable);
  clock_.Advance(seconds(59));
  EXPECT_FALSE(adapter_->Submit(Spec("a")).ok());
  EXPECT_EQ(script_.submissions, 0);
  clock_.Advance(seconds(1));
  EXPECT_EQ(*adapter_->Find("a"), std::nullopt);
  EXPECT_EQ(*adapter_->Submit(Spec("a")), "1");
}

TEST_F(BatchAdapterTest, ASubmissionThatAppearsLateIsTheOne) {
  script_.lose_answers = true;
  EXPECT_FALSE(adapter_->Submit(Spec("a")).ok());
  const auto hidden = std::exchange(script_.names, {});
  EXPECT_FALSE(adapter_->Submit(Spec("a")).ok());
  clock_.Advance(seconds(30));
  script_.names = hidden;
  EXPECT_EQ(*adapter_->Submit(Spec("a")), "1");
  EXPECT_EQ(script_.submissions, 1);
}

TEST_F(BatchAdapterTest, OfTwoJobsOfOneNameTheClaimedOneStays) {
  script_.lose_answers = true;
  EXPECT_FALSE(adapter_->Submit(Spec("a")).ok());
  script_.jobs["2"].state = JobState::kRunning;
  script_.names["2"] = "a";
  Mark("a", "claim", "2\n");
  EXPECT_EQ(*adapter_->Submit(Spec("a")), "2");
  EXPECT_EQ(script_.cancelled, std::vector<std::string>{"1"});
}

TEST_F(BatchAdapterTest, ARefusalIsNotRemembered) {
  script_.refusal = InvalidArgumentError("no such queue");
  EXPECT_EQ(adapter_->Submit(Spec("a")).status().code(), StatusCode::kInvalidArgument);
  script_.refusal = OkStatus();
  EXPECT_EQ(*adapter_->Submit(Spec("a")), "1");
}

TEST_F(BatchAdapterTest, AnOutageIsUnknownNeverGone) {
  const std::string id = *adapter_->Submit(Spec("a"));
  script_.outage = UnavailableError("connection refused");
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(StatusOf(id).state, JobState::kUnknown);
    EXPECT_NE(StatusOf(id).message.find("connection refused"), std::string::npos);
    clock_.Advance(seconds(3600));
  }
  script_.outage = OkStatus();
  EXPECT_EQ(StatusOf(id).state, JobState::kQueued);
}

TEST_F(BatchAdapterTest, AForgottenJobEndedAsItsMarksSay) {
  const std::string id = *adapter_->Submit(Spec("a"));
  Mark("a", "claim", id + "\n");
  Mark("a", "starts", "1763700010\n");
  Mark("a", "ended", "7 1763700040\n");
  script_.jobs.clear();
  const JobStatus end = StatusOf(id);
  EXPECT_EQ(end.state, JobState::kFailed);
  EXPECT_EQ(end.exit_code, 7);
  EXPECT_EQ(end.usage.elapsed, seconds(30));
}

TEST_F(BatchAdapterTest, AForgottenJobWithoutMarksIsLostOnlyAfterAWhile) {
  const std::string id = *adapter_->Submit(Spec("a"));
  const auto jobs = std::exchange(script_.jobs, {});
  EXPECT_EQ(StatusOf(id).state, JobState::kUnknown);
  clock_.Advance(seconds(119));
  EXPECT_EQ(StatusOf(id).state, JobState::kUnknown);
  script_.jobs = jobs;  // it was only a gap
  EXPECT_EQ(StatusOf(id).state, JobState::kQueued);
  script_.jobs.clear();
  EXPECT_EQ(StatusOf(id).state, JobState::kUnknown);
  clock_.Advance(seconds(120));
  EXPECT_EQ(StatusOf(id).state, JobState::kNodeFailed);
  script_.jobs = jobs;  // an end never changes
  EXPECT_EQ(StatusOf(id).state, JobState::kNodeFailed);
}

// As OpenPBS does: what a run used is cleared when the job goes back into the queue.
TEST_F(BatchAdapterTest, AJobIsChargedWithAllItsRuns) {
  const std::string id = *adapter_->Submit(Spec("a"));
  JobStatus& said = script_.jobs[id];
  const auto run = [&](int length) {
    said = JobStatus();
    said.state = JobState::kRunning;
    said.started = clock_.Now();
    for (int second = 0; second < length; ++second) {
      EXPECT_EQ(StatusOf(id).state, JobState::kRunning);
      clock_.Advance(seconds(1));
    }
  };
  run(24);
  said.state = JobState::kQueued;
  said.ended = clock_.Now();
  said.started.reset();
  clock_.Advance(seconds(100));
  EXPECT_EQ(StatusOf(id).state, JobState::kQueued);
  run(100);
  Restart();  // knows the run as it was last noted
  said.state = JobState::kQueued;
  said.started.reset();
  said.ended.reset();
  EXPECT_EQ(StatusOf(id).state, JobState::kQueued);
  run(10);
  said.state = JobState::kCompleted;
  said.ended = clock_.Now() + seconds(5);  // a slow epilogue
  said.usage.elapsed = seconds(9);
  const JobStatus end = StatusOf(id);
  EXPECT_GE(end.usage.elapsed, seconds(24 + 60 + 15));
  EXPECT_LE(end.usage.elapsed, seconds(24 + 100 + 15));
  EXPECT_EQ(end.ended, said.ended);
}

TEST_F(BatchAdapterTest, ARunWhoseEndNobodySawIsChargedUntilItWasLastSeen) {
  const std::string id = *adapter_->Submit(Spec("a"));
  JobStatus& said = script_.jobs[id];
  said.state = JobState::kRunning;
  said.started = clock_.Now();
  StatusOf(id);
  clock_.Advance(seconds(40));
  StatusOf(id);
  clock_.Advance(seconds(5));
  said.started = clock_.Now();  // requeued and started between two looks
  StatusOf(id);
  clock_.Advance(seconds(10));
  said.state = JobState::kCompleted;
  said.ended = clock_.Now();
  said.usage.elapsed = seconds(10);
  EXPECT_EQ(StatusOf(id).usage.elapsed, seconds(40 + 10));
}

TEST_F(BatchAdapterTest, ASchedulerThatTellsAllRunsIsNotCountedTwice) {
  const std::string id = *adapter_->Submit(Spec("a"));
  JobStatus& said = script_.jobs[id];
  said.state = JobState::kRunning;
  said.started = clock_.Now();
  EXPECT_EQ(StatusOf(id).state, JobState::kRunning);
  clock_.Advance(seconds(30));
  said.state = JobState::kPreempted;
  said.ended = clock_.Now();
  said.usage.elapsed = seconds(500);
  EXPECT_EQ(StatusOf(id).usage.elapsed, seconds(500));
}

// Both were seen here, and accounting has both.
TEST_F(BatchAdapterTest, RunsThatTheSchedulerSumsAreNotAddedAgain) {
  const std::string id = *adapter_->Submit(Spec("a"));
  JobStatus& said = script_.jobs[id];
  for (int run = 0; run < 2; ++run) {
    said.state = JobState::kRunning;
    said.started = clock_.Now();
    EXPECT_EQ(StatusOf(id).state, JobState::kRunning);
    clock_.Advance(seconds(100));
    EXPECT_EQ(StatusOf(id).state, JobState::kRunning);
    said.ended = clock_.Now();
    if (run == 1) break;
    said.state = JobState::kQueued;
    EXPECT_EQ(StatusOf(id).state, JobState::kQueued);
    clock_.Advance(seconds(50));
    said.ended.reset();
  }
  said.state = JobState::kCompleted;
  said.usage.elapsed = seconds(200);
  said.usage.all_runs = true;
  EXPECT_EQ(StatusOf(id).usage.elapsed, seconds(200));
}

TEST_F(BatchAdapterTest, SuspendedTimeIsNotCharged) {
  const std::string id = *adapter_->Submit(Spec("a"));
  JobStatus& said = script_.jobs[id];
  said.state = JobState::kRunning;
  said.started = clock_.Now();
  said.suspended = true;
  EXPECT_EQ(StatusOf(id).state, JobState::kRunning);
  clock_.Advance(seconds(1000));
  said.state = JobState::kCompleted;
  said.ended = clock_.Now();
  said.usage.elapsed = seconds(20);
  EXPECT_EQ(StatusOf(id).usage.elapsed, seconds(20));
}

TEST_F(BatchAdapterTest, AForgottenJobThatWasToldToEndIsNoLostNode) {
  struct Case {
    std::string name, told;
    JobState state;
  };
  for (const Case& c : {Case{"deleted", "1763700040 40 3600\n", JobState::kCancelled},
                        Case{"over", "1763703600 3598 3600\n", JobState::kTimedOut},
                        Case{"unlimited", "1763703600 3598 0\n", JobState::kCancelled}}) {
    const std::string id = *adapter_->Submit(Spec(c.name));
    Mark(c.name, "claim", id + "\n");
    Mark(c.name, "starts", "1763700000\n");
    Mark(c.name, "told", c.told);
    script_.jobs.clear();
    EXPECT_EQ(StatusOf(id).state, JobState::kUnknown);
    clock_.Advance(seconds(120));
    const JobStatus end = StatusOf(id);
    EXPECT_EQ(end.state, c.state) << c.name;
    EXPECT_EQ(end.ended, Timestamp(seconds(std::stoll(c.told)))) << c.name;
  }
}

TEST_F(BatchAdapterTest, AJobThatNobodySawEndIsChargedUntilItWasLastSeen) {
  const std::string id = *adapter_->Submit(Spec("a"));
  Mark("a", "claim", id + "\n");
  JobStatus& said = script_.jobs[id];
  said.state = JobState::kRunning;
  said.started = clock_.Now();
  EXPECT_EQ(StatusOf(id).state, JobState::kRunning);
  clock_.Advance(seconds(50));
  EXPECT_EQ(StatusOf(id).state, JobState::kRunning);
  script_.jobs.clear();
  clock_.Advance(seconds(1));
  EXPECT_EQ(StatusOf(id).state, JobState::kUnknown);
  clock_.Advance(std::chrono::hours(10));
  const JobStatus end = StatusOf(id);
  EXPECT_EQ(end.state, JobState::kNodeFailed);
  EXPECT_EQ(end.usage.elapsed, seconds(50));
}

TEST_F(BatchAdapterTest, AClockThatIsSetForwardLosesNoJob) {
  const std::string id = *adapter_->Submit(Spec("a"));
  script_.jobs.clear();
  EXPECT_EQ(StatusOf(id).state, JobState::kUnknown);
  clock_.Set(clock_.Now() + std::chrono::hours(1));
  EXPECT_EQ(StatusOf(id).state, JobState::kUnknown);
  clock_.Set(clock_.Now() - std::chrono::hours(2));
  clock_.Advance(seconds(120));
  EXPECT_EQ(StatusOf(id).state, JobState::kNodeFailed);
}

TEST_F(BatchAdapterTest, ACancelledJobIsCancelledWhateverTheSchedulerCallsIt) {
  const std::string id = *adapter_->Submit(Spec("a"));
  EXPECT_TRUE(adapter_->Cancel(id).ok());
  Restart();
  script_.jobs[id].state = JobState::kFailed;
  script_.jobs[id].exit_code = 265;
  EXPECT_EQ(StatusOf(id).state, JobState::kCancelled);
}

TEST_F(BatchAdapterTest, AJobThatFinishedBeforeItsCancellationIsCompleted) {
  const std::string id = *adapter_->Submit(Spec("a"));
  EXPECT_TRUE(adapter_->Cancel(id).ok());
  Mark("a", "claim", id + "\n");
  Mark("a", "ended", "0 1763700040\n");
  script_.jobs[id].state = JobState::kCompleted;
  EXPECT_EQ(StatusOf(id).state, JobState::kCompleted);
}

TEST_F(BatchAdapterTest, EndsSurviveARestartAndAreNotAskedAgain) {
  const std::string id = *adapter_->Submit(Spec("a"));
  JobStatus end;
  end.state = JobState::kTimedOut;
  end.raw_state = "TIMEOUT";
  end.exit_code = 15;
  end.restarts = 2;
  end.started = Timestamp(seconds(10));
  end.ended = Timestamp(seconds(20));
  end.usage = {4, 256, 16, seconds(10)};
  end.message = "walltime";
  script_.jobs[id] = end;
  EXPECT_EQ(StatusOf(id).state, JobState::kTimedOut);
  script_.outage = UnavailableError("down");
  Restart();
  const JobStatus kept = StatusOf(id);
  EXPECT_EQ(kept.id, id);
  EXPECT_EQ(kept.state, JobState::kTimedOut);
  EXPECT_EQ(kept.raw_state, "TIMEOUT");
  EXPECT_EQ(kept.exit_code, 15);
  EXPECT_EQ(kept.restarts, 2);
  EXPECT_EQ(kept.started, end.started);
  EXPECT_EQ(kept.ended, end.ended);
  EXPECT_EQ(kept.usage.nodes, 4);
  EXPECT_EQ(kept.usage.gpus, 16);
  EXPECT_EQ(kept.usage.elapsed, seconds(10));
  EXPECT_EQ(kept.message, "walltime");
  EXPECT_TRUE(adapter_->Cancel(id).ok());
  EXPECT_TRUE(script_.cancelled.empty());
}

TEST_F(BatchAdapterTest, OfSeveralNumbersTheOneWhoseJobHasTheNameIsTheId) {
  script_.printed = {"2026", "77"};
  script_.jobs["2026"].state = JobState::kRunning;
  script_.names["2026"] = "somebody's own work";
  EXPECT_EQ(*adapter_->Submit(Spec("a")), "1");
  script_.swallow_id = true;
  EXPECT_EQ(*adapter_->Submit(Spec("b")), "2");  // asked for by its name
  EXPECT_TRUE(adapter_->Cancel("2").ok());
  EXPECT_EQ(script_.cancelled, std::vector<std::string>{"2"});
}

TEST_F(BatchAdapterTest, ANumberThatCannotBeVerifiedIsNotBelieved) {
  script_.printed = {"2026"};
  script_.swallow_id = true;
  script_.names["2026"] = "somebody's own work";
  script_.hide_names = true;  // a listing that lags behind
  EXPECT_EQ(adapter_->Submit(Spec("a")).status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(adapter_->Submit(Spec("a")).status().code(), StatusCode::kUnavailable);
  script_.hide_names = false;
  EXPECT_EQ(*adapter_->Submit(Spec("a")), "1");
  EXPECT_EQ(script_.submissions, 1);
}

TEST_F(BatchAdapterTest, AnIdThatIsGoneAtOnceIsBelieved) {
  script_.vanish = true;  // no destination of a routing queue takes it
  const std::string id = *adapter_->Submit(Spec("a"));
  EXPECT_EQ(StatusOf(id).state, JobState::kUnknown);
  clock_.Advance(seconds(120));
  EXPECT_EQ(StatusOf(id).state, JobState::kNodeFailed);
}

// Booked by a version that believed the last number.
TEST_F(BatchAdapterTest, NothingIsCancelledThatDoesNotHaveTheName) {
  const std::string id = *adapter_->Submit(Spec("a"));
  script_.names[id] = "somebody's own work";
  script_.names["9"] = "a";
  script_.jobs["9"].state = JobState::kRunning;
  EXPECT_TRUE(adapter_->Cancel(id).ok());
  EXPECT_EQ(script_.cancelled, std::vector<std::string>{"9"});
  script_.outage = UnavailableError("down");
  EXPECT_EQ(adapter_->Cancel(id).code(), StatusCode::kUnavailable);
}

TEST_F(BatchAdapterTest, AJobThatWasNotSubmittedHereIsNotCancelled) {
  script_.jobs["5"].state = JobState::kRunning;
  script_.names["5"] = "a";
  EXPECT_EQ(adapter_->Cancel("5").code(), StatusCode::kNotFound);
  EXPECT_TRUE(script_.cancelled.empty());
  EXPECT_EQ(*adapter_->Find("a"), "5");  // by its name it is ours
  EXPECT_TRUE(adapter_->Cancel("5").ok());
  EXPECT_EQ(script_.cancelled, std::vector<std::string>{"5"});
}

TEST_F(BatchAdapterTest, CancelOfAnUnknownJobIsNotFound) {
  EXPECT_EQ(adapter_->Cancel("999").code(), StatusCode::kNotFound);
  EXPECT_EQ(adapter_->Cancel("x").code(), StatusCode::kNotFound);
}

TEST_F(BatchAdapterTest, AJobOfAnotherDaemonOfOursIsAdopted) {
  script_.jobs["5"].state = JobState::kRunning;
  script_.names["5"] = "a";
  EXPECT_EQ(*adapter_->Find("a"), "5");
  EXPECT_EQ(*adapter_->Submit(Spec("a")), "5");
  EXPECT_EQ(script_.submissions, 0);
}

TEST_F(BatchAdapterTest, AJobThatClaimedTheNameFirstIsTheOneThatIsWatched) {
  const std::string id = *adapter_->Submit(Spec("a"));
  script_.jobs["77"].state = JobState::kRunning;  // appeared after it had been given up
  script_.names["77"] = "a";
  Mark("a", "claim", "77\n");
  script_.jobs[id].state = JobState::kFailed;
  script_.jobs[id].exit_code = kClaimedExit;
  EXPECT_EQ(StatusOf(id).state, JobState::kRunning);
  EXPECT_EQ(StatusOf(id).id, id);
  Restart();
  EXPECT_TRUE(adapter_->Cancel(id).ok());
  EXPECT_EQ(script_.cancelled, (std::vector<std::string>{id, "77"}));
  script_.jobs["77"].state = JobState::kCompleted;
  Mark("a", "ended", "0 1763700040\n");
  EXPECT_EQ(StatusOf(id).state, JobState::kCompleted);
}

TEST_F(BatchAdapterTest, AnOutageStartsTheCountOfMissingAnswersAgain) {
  const std::string id = *adapter_->Submit(Spec("a"));
  const auto jobs = std::exchange(script_.jobs, {});
  EXPECT_EQ(StatusOf(id).state, JobState::kUnknown);
  script_.outage = UnavailableError("restarting");
  clock_.Advance(seconds(1000));
  EXPECT_EQ(StatusOf(id).state, JobState::kUnknown);
  script_.outage = OkStatus();  // it answers, but has not read its jobs yet
  EXPECT_EQ(StatusOf(id).state, JobState::kUnknown);
  script_.jobs = jobs;
  EXPECT_EQ(StatusOf(id).state, JobState::kQueued);
}

// A site that only visits asks for less than a minute each time.
TEST_F(BatchAdapterTest, WhatIsMissingIsCountedOverVisits) {
  const std::string id = *adapter_->Submit(Spec("forgotten"));
  script_.jobs.clear();
  script_.names.clear();
  JobStatus status;
  int visits = 0;
  for (; visits < 10 && !IsTerminal(status.state); ++visits) {
    Restart();
    status = StatusOf(id);
    clock_.Advance(seconds(30));
    if (!IsTerminal(status.state)) status = StatusOf(id);
  }
  EXPECT_EQ(status.state, JobState::kNodeFailed);
  EXPECT_GE(visits, 4) << "it may have been an answer before the scheduler had read its jobs";
  EXPECT_LE(visits, 6);
}

TEST_F(BatchAdapterTest, ASubmissionWithoutAnAnswerIsGivenUpOverVisits) {
  script_.refusal = UnavailableError("no answer");
  EXPECT_FALSE(adapter_->Submit(Spec("lost")).ok());
  script_.refusal = OkStatus();
  Result<std::string> id = UnavailableError("");
  int visits = 0;
  for (; visits < 10 && !id.ok(); ++visits) {
    Restart();
    id = adapter_->Submit(Spec("lost"));
    clock_.Advance(seconds(20));
  }
  EXPECT_TRUE(id.ok()) << id.status();
  EXPECT_GE(visits, 4);
  EXPECT_EQ(script_.submissions, 1);
}

}  // namespace
}  // namespace tributary::scheduler_adapters

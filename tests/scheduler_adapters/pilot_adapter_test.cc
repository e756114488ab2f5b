// The adapter's side, on a scripted scheduler in virtual time; what pilots do is written by hand.
#include "scheduler_adapters/pilot_adapter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/files.h"
#include "scheduler_adapters/fake_adapter.h"

namespace tributary::scheduler_adapters {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

const Timestamp kStart = TimestampFromMicros(1'700'000'000'000'000);

class PilotAdapterTest : public testing::Test {
 protected:
  PilotAdapterTest() {
    plan_.run_time = hours(100);
    options_.directory = scratch_.path() + "/pilots";
    options_.command = {"/opt/tributary-client", "pilot"};
    options_.walltime = hours(4);
    Restart();
  }

  void Restart() {
    adapter_ =
        *PilotAdapter::Make(options_, std::make_unique<FakeSchedulerAdapter>(cluster_), clock_);
  }
  JobSpec Spec(const std::string& name, seconds walltime = minutes(10)) {
    JobSpec spec;
    spec.name = "trib-1." + name;
    spec.working_directory = scratch_.path();
    spec.command = {"/bin/true"};
    spec.environment = {{"LANG", "C"}};
    spec.prologue = {"module load x"};
    spec.stdout_path = spec.stderr_path = "/dev/null";
    spec.queue = "gpu";
    spec.nodes = 2;
    spec.walltime = walltime;
    return spec;
  }
  std::string Submit(const JobSpec& spec) {
    const auto id = adapter_->Submit(spec);
    EXPECT_TRUE(id.ok()) << id.status();
    return id.ok() ? *id : "";
  }
  JobStatus StatusOf(const std::string& id) {
    const std::vector<std::string> ids = {id};
    return adapter_->Query(ids).at(0);
  }
  std::vector<std::string> Pilots() { return *directory_.Pilots(); }

  // What a pilot does.
  PilotState ComeUp(const std::string& pilot) {
    PilotState state;
    state.started = state.beat = state.idle_since = clock_.Now();
    EXPECT_TRUE(directory_.PutState(pilot, state).ok());
    return state;
  }
  void Take(const std::string& pilot, PilotState* state, const std::string& task) {
    state->current = task;
    ++state->tasks;
    state->beat = clock_.Now();
    EXPECT_TRUE(directory_.PutState(pilot, *state).ok());
    EXPECT_TRUE(*directory_.Claim(task, {pilot, state->started, clock_.Now()}, pilot));
    EXPECT_TRUE(directory_.Unqueue(task).ok());
  }
  void Finish(const std::string& pilot, PilotState* state, int exit_code) {
    PilotTaskEnd end;
    end.state = exit_code == 0 ? JobState::kCompleted : JobState::kFailed;
    end.exit_code = exit_code;
    end.started = state->started;
    end.ended = clock_.Now();
    EXPECT_TRUE(*directory_.End(state->current, end, pilot));
    state->current.clear();
    state->idle_since = state->beat = clock_.Now();
    EXPECT_TRUE(directory_.PutState(pilot, *state).ok());
  }

  TemporaryDirectory scratch_ = *TemporaryDirectory::Create("pilots");
  FakeClock clock_{kStart};
  FakeJobPlan plan_;
  FakeCluster cluster_{clock_, [this](const JobSpec& spec) {
                         submitted_.push_back(spec);
                         return plan_;
                       }};
  std::vector<JobSpec> submitted_;
  PilotOptions options_;
  PilotDirectory directory_{scratch_.path() + "/pilots"};
  std::unique_ptr<SchedulerAdapter> adapter_;
};

TEST_F(PilotAdapterTest, PilotIsAJobLikeItsTasksUnderTheirPrefix) {
  Submit(Spec("a"));
  ASSERT_THAT(submitted_, SizeIs(1));
  const JobSpec& pilot = submitted_[0];
  EXPECT_TRUE(pilot.name.starts_with("trib-1.pilot.")) << pilot.name;
  EXPECT_EQ(pilot.queue, "gpu");
  EXPECT_EQ(pilot.nodes, 2);
  EXPECT_EQ(pilot.prologue, Spec("a").prologue);
  EXPECT_EQ(pilot.environment, Spec("a").environment);
  EXPECT_EQ(pilot.walltime, hours(4));
  EXPECT_THAT(pilot.command, ElementsAre("/opt/tributary-client", "pilot", "--dir",
                                         options_.directory, "--name", pilot.name));
}

TEST_F(PilotAdapterTest, OnePilotServesManyTasksAndSurvivesRestarts) {
  plan_.queue_time = minutes(5);
  Submit(Spec("a"));
  Submit(Spec("b"));
  EXPECT_EQ(StatusOf("trib-1.a").state, JobState::kQueued);
  Restart();
  EXPECT_EQ(StatusOf("trib-1.b").state, JobState::kQueued);
  clock_.Advance(minutes(5));
  const std::string pilot = Pilots().at(0);
  PilotState state = ComeUp(pilot);
  for (const std::string task : {"trib-1.a", "trib-1.b"}) {
    Take(pilot, &state, task);
    EXPECT_EQ(StatusOf(task).state, JobState::kRunning);
    Restart();
    clock_.Advance(minutes(1));
    EXPECT_EQ(StatusOf(task).state, JobState::kRunning);
    Finish(pilot, &state, 0);
    EXPECT_EQ(StatusOf(task).state, JobState::kCompleted);
  }
  EXPECT_EQ(StatusOf("trib-1.b").usage.nodes, 2);
  EXPECT_EQ(cluster_.submissions(), 1);
}

TEST_F(PilotAdapterTest, SuccessorIsQueuedBeforeABusyPilotEnds) {
  Submit(Spec("a"));
  clock_.Advance(seconds(1));
  const std::string pilot = Pilots().at(0);
  PilotState state = ComeUp(pilot);
  Take(pilot, &state, "trib-1.a");
  clock_.Advance(hours(3));
  StatusOf("trib-1.a");
  EXPECT_EQ(cluster_.submissions(), 1);
  clock_.Advance(minutes(50));
  StatusOf("trib-1.a");
  EXPECT_EQ(cluster_.submissions(), 2);
  StatusOf("trib-1.a");
  EXPECT_EQ(cluster_.submissions(), 2);
}

TEST_F(PilotAdapterTest, PilotThatEndedWithoutARecordLosesItsTaskAfterASecondLook) {
  plan_.run_time = minutes(3);
  plan_.exit_code = 137;
  options_.lost_after = seconds(60);
  Restart();
  Submit(Spec("a"));
  const std::string pilot = Pilots().at(0);
  PilotState state = ComeUp(pilot);
  Take(pilot, &state, "trib-1.a");
  clock_.Advance(minutes(4));
  EXPECT_EQ(StatusOf("trib-1.a").state, JobState::kRunning);
  clock_.Advance(seconds(59));
  EXPECT_EQ(StatusOf("trib-1.a").state, JobState::kRunning);
  clock_.Advance(seconds(1));
  const JobStatus lost = StatusOf("trib-1.a");
  EXPECT_EQ(lost.state, JobState::kNodeFailed);
  EXPECT_THAT(lost.message, HasSubstr(pilot));
  EXPECT_EQ(lost.ended, kStart + minutes(3));
  // What comes late changes nothing.
  EXPECT_FALSE(*directory_.End("trib-1.a", {JobState::kCompleted, 0, {}, clock_.Now(), ""}, pilot));
  Restart();
  EXPECT_EQ(StatusOf("trib-1.a").state, JobState::kNodeFailed);
}

TEST_F(PilotAdapterTest, RecordThatComesLateOverANetworkFileSystemCounts) {
  plan_.run_time = minutes(3);
  Submit(Spec("a"));
  const std::string pilot = Pilots().at(0);
  PilotState state = ComeUp(pilot);
  Take(pilot, &state, "trib-1.a");
  clock_.Advance(minutes(4));
  EXPECT_EQ(StatusOf("trib-1.a").state, JobState::kRunning);
  clock_.Advance(seconds(30));
  Finish(pilot, &state, 3);
  clock_.Advance(seconds(60));
  EXPECT_EQ(StatusOf("trib-1.a").state, JobState::kFailed);
  EXPECT_EQ(StatusOf("trib-1.a").exit_code, 3);
}

TEST_F(PilotAdapterTest, SchedulerThatIsDownMakesTakenTasksUnknownNeverLost) {
  Submit(Spec("a"));
  Submit(Spec("waits"));
  const std::string pilot = Pilots().at(0);
  PilotState state = ComeUp(pilot);
  Take(pilot, &state, "trib-1.a");
  cluster_.SetOutage(UnavailableError("no controller"));
  for (int i = 0; i < 5; ++i) {
    clock_.Advance(hours(1));
    const JobStatus status = StatusOf("trib-1.a");
    EXPECT_EQ(status.state, JobState::kUnknown);
    EXPECT_THAT(status.message, HasSubstr("no controller"));
    EXPECT_EQ(StatusOf("trib-1.waits").state, JobState::kQueued);
  }
  Finish(pilot, &state, 0);
  EXPECT_EQ(StatusOf("trib-1.a").state, JobState::kCompleted);
}

TEST_F(PilotAdapterTest, SubmissionDuringAnOutageGetsItsPilotLater) {
  cluster_.SetOutage(UnavailableError("no controller"));
  Submit(Spec("a"));
  EXPECT_EQ(StatusOf("trib-1.a").state, JobState::kQueued);
  EXPECT_THAT(StatusOf("trib-1.a").message, HasSubstr("no controller"));
  EXPECT_EQ(cluster_.submissions(), 0);
  Restart();
  cluster_.SetOutage(OkStatus());
  StatusOf("trib-1.a");
  EXPECT_EQ(cluster_.submissions(), 1);
  StatusOf("trib-1.a");
  EXPECT_EQ(cluster_.submissions(), 1);
}

TEST_F(PilotAdapterTest, KilledBetweenTheRequestAndItsQueueItIsQueuedAgain) {
  ASSERT_TRUE(directory_.PutRequest({Spec("a"), clock_.Now()}).ok());
  Restart();
  EXPECT_EQ(*adapter_->Find("trib-1.a"), "trib-1.a");
  EXPECT_EQ(StatusOf("trib-1.a").state, JobState::kQueued);
  EXPECT_THAT(*directory_.Queued(), ElementsAre("trib-1.a"));
  StatusOf("trib-1.a");
  EXPECT_EQ(cluster_.submissions(), 1);
}

TEST_F(PilotAdapterTest, KilledBetweenThePilotsRecordAndItsSubmissionItIsSubmittedOnce) {
  Submit(Spec("a"));
  PilotRecord record = *directory_.ReadPilot(Pilots().at(0));
  record.id.clear();  // the answer was not noted
  ASSERT_TRUE(directory_.PutPilot(record).ok());
  Restart();
  StatusOf("trib-1.a");
  EXPECT_EQ(cluster_.submissions(), 1);
  EXPECT_FALSE(directory_.ReadPilot(Pilots().at(0))->id.empty());
}

TEST_F(PilotAdapterTest, CancelBeforeAPilotTakesItIsAnEndAtOnce) {
  Submit(Spec("a"));
  EXPECT_TRUE(adapter_->Cancel("trib-1.a").ok());
  EXPECT_EQ(StatusOf("trib-1.a").state, JobState::kCancelled);
  EXPECT_THAT(*directory_.Queued(), IsEmpty());
  EXPECT_FALSE(*directory_.Claim("trib-1.a", {"late", {}, clock_.Now()}, "late"));
}

TEST_F(PilotAdapterTest, KilledWhileCancellingItGoesOn) {
  Submit(Spec("a"));
  Submit(Spec("b"));
  ASSERT_TRUE(directory_.RequestCancel("trib-1.a").ok());
  ASSERT_TRUE(directory_.RequestCancel("trib-1.b").ok());
  ASSERT_TRUE(*directory_.Claim("trib-1.b", {"", {}, clock_.Now()}, "daemon"));
  Restart();
  EXPECT_EQ(StatusOf("trib-1.a").state, JobState::kCancelled);
  EXPECT_EQ(StatusOf("trib-1.b").state, JobState::kCancelled);
}

TEST_F(PilotAdapterTest, LostAfterACancelIsCancelled) {
  options_.lost_after = seconds(0);
  Restart();
  plan_.run_time = minutes(3);
  Submit(Spec("a"));
  const std::string pilot = Pilots().at(0);
  PilotState state = ComeUp(pilot);
  Take(pilot, &state, "trib-1.a");
  EXPECT_TRUE(adapter_->Cancel("trib-1.a").ok());
  clock_.Advance(minutes(4));
  StatusOf("trib-1.a");
  EXPECT_EQ(StatusOf("trib-1.a").state, JobState::kCancelled);
}

TEST_F(PilotAdapterTest, OtherSettingsGetAPilotOfTheirOwn) {
  Submit(Spec("a"));
  ComeUp(Pilots().at(0));
  JobSpec other = Spec("b");
  other.gpus = 4;
  Submit(other);
  EXPECT_EQ(cluster_.submissions(), 2);
  EXPECT_EQ(submitted_.at(1).gpus, 4);
}

TEST_F(PilotAdapterTest, PilotsThatNeverStartFailTheTasksThatWait) {
  plan_.run_time = seconds(1);
  plan_.exit_code = 1;
  plan_.message = "module: not found";
  Submit(Spec("a"));
  JobStatus status;
  for (int i = 0; i < 100 && !IsTerminal(status.state); ++i) {
    clock_.Advance(seconds(10));
    status = StatusOf("trib-1.a");
  }
  EXPECT_EQ(status.state, JobState::kFailed);
  EXPECT_THAT(status.message, HasSubstr("module: not found"));
  EXPECT_EQ(cluster_.submissions(), 3);
  // The next task is tried anew.
  Submit(Spec("b"));
  clock_.Advance(minutes(1));
  EXPECT_EQ(StatusOf("trib-1.b").state, JobState::kQueued);
  EXPECT_EQ(cluster_.submissions(), 4);
}

// So that the new pilot's name comes before the old one's.
TEST_F(PilotAdapterTest, AClockThatWasSetBackHindersNoPilot) {
  plan_.run_time = minutes(10);
  Submit(Spec("a"));
  const std::string first = Pilots().at(0);
  PilotState state = ComeUp(first);
  Take(first, &state, "trib-1.a");
  Finish(first, &state, 0);
  clock_.Advance(minutes(20));
  EXPECT_EQ(StatusOf("trib-1.a").state, JobState::kCompleted);
  clock_.Set(kStart - hours(1));
  plan_.run_time = hours(100);
  Submit(Spec("b"));
  ASSERT_THAT(Pilots(), SizeIs(2));
  EXPECT_EQ(Pilots().at(1), first);
  EXPECT_EQ(StatusOf("trib-1.b").state, JobState::kQueued);
  EXPECT_EQ(cluster_.submissions(), 2);
}

TEST_F(PilotAdapterTest, AClockThatWasSetBackDoesNotLengthenTheWaitAfterAFailure) {
  plan_.end_state = JobState::kFailed;
  plan_.run_time = seconds(1);
  Submit(Spec("a"));
  clock_.Advance(seconds(2));
  EXPECT_EQ(StatusOf("trib-1.a").state, JobState::kQueued);
  EXPECT_THAT(Pilots(), SizeIs(1));  // failed just now
  clock_.Set(clock_.Now() - hours(10));
  clock_.Advance(seconds(10));
  EXPECT_EQ(StatusOf("trib-1.a").state, JobState::kQueued);
  EXPECT_THAT(Pilots(), SizeIs(2));
}

TEST_F(PilotAdapterTest, AClockThatIsSetForwardLosesNoTask) {
  Submit(Spec("a"));
  const std::string pilot = Pilots().at(0);
  PilotState state = ComeUp(pilot);
  Take(pilot, &state, "trib-1.a");
  state.current.clear();  // its record of the end is on its way
  EXPECT_TRUE(directory_.PutState(pilot, state).ok());
  EXPECT_EQ(StatusOf("trib-1.a").state, JobState::kRunning);
  clock_.Set(clock_.Now() + hours(1));
  EXPECT_EQ(StatusOf("trib-1.a").state, JobState::kRunning);
}

TEST_F(PilotAdapterTest, PilotThatStandsStillIsCancelled) {
  Submit(Spec("a"));
  const std::string pilot = Pilots().at(0);
  PilotState state = ComeUp(pilot);
  Take(pilot, &state, "trib-1.a");
  options_.lost_after = seconds(0);
  JobStatus status;
  for (int i = 0; i < 16; ++i) {
    clock_.Advance(minutes(1));
    status = StatusOf("trib-1.a");
    EXPECT_EQ(status.state, JobState::kRunning);
  }
  clock_.Advance(minutes(1));
  StatusOf("trib-1.a");
  clock_.Advance(minutes(2));
  EXPECT_EQ(StatusOf("trib-1.a").state, JobState::kNodeFailed);
}

TEST_F(PilotAdapterTest, StopFileKeepsNewPilotsAway) {
  ASSERT_TRUE(WriteFileAtomic(options_.directory + "/stop", "").ok());
  Submit(Spec("a"));
  EXPECT_EQ(cluster_.submissions(), 0);
  EXPECT_THAT(StatusOf("trib-1.a").message, HasSubstr("stop"));
  ASSERT_TRUE(RemoveFile(options_.directory + "/stop").ok());
  StatusOf("trib-1.a");
  EXPECT_EQ(cluster_.submissions(), 1);
}

TEST_F(PilotAdapterTest, JobsFromBeforePilotsAreTheInnerAdapters) {
  FakeSchedulerAdapter inner(cluster_);
  const std::string id = *inner.Submit(Spec("plain"));
  EXPECT_EQ(*adapter_->Find("trib-1.plain"), id);
  EXPECT_EQ(StatusOf(id).state, JobState::kRunning);
  Submit(Spec("a"));
  std::vector<std::string> names;
  const auto live = adapter_->ListLive("trib-1.");
  ASSERT_TRUE(live.ok()) << live.status();
  for (const NamedJob& job : *live) names.push_back(job.name);
  EXPECT_THAT(names, testing::UnorderedElementsAre("trib-1.plain", "trib-1.a"));
  EXPECT_TRUE(adapter_->Cancel(id).ok());
  EXPECT_EQ(StatusOf(id).state, JobState::kCancelled);
}

TEST_F(PilotAdapterTest, SwitchedOffTasksThatWaitAreLostAndPilotsLeaveAfterTheirs) {
  Submit(Spec("a"));
  Submit(Spec("b"));
  const std::string pilot = Pilots().at(0);
  PilotState state = ComeUp(pilot);
  Take(pilot, &state, "trib-1.a");
  options_.drain = true;
  Restart();
  EXPECT_EQ(StatusOf("trib-1.b").state, JobState::kNodeFailed);
  EXPECT_EQ(StatusOf("trib-1.a").state, JobState::kRunning);
  EXPECT_TRUE(directory_.IsStopRequested(pilot));
  EXPECT_TRUE(Submit(Spec("c")).starts_with("fake-"));
}

TEST_F(PilotAdapterTest, EstimatesByItsPilots) {
  plan_.queue_time = minutes(30);
  EXPECT_EQ(*adapter_->Estimate(Spec("a")), kStart + minutes(30));
  const std::string id = Submit(Spec("a"));
  clock_.Advance(minutes(10));
  EXPECT_EQ(*adapter_->Estimate(id), kStart + minutes(30));
  clock_.Advance(minutes(25));
  ComeUp(Pilots().at(0));
  StatusOf(id);
  EXPECT_EQ(*adapter_->Estimate(Spec("b")), clock_.Now());
}

TEST_F(PilotAdapterTest, PilotsWhoseCostIsOnRecordElsewhereAreForgottenWithTheirTasks) {
  std::vector<std::string> settled;
  options_.is_settled = [&](const std::string& name) {
    return std::find(settled.begin(), settled.end(), name) != settled.end();
  };
  plan_.run_time = minutes(30);
  Restart();
  const std::string a = Submit(Spec("a"));
  const std::string pilot = Pilots().at(0);
  clock_.Advance(seconds(1));
  EXPECT_EQ(StatusOf(a).state, JobState::kQueued);
  PilotState state = ComeUp(pilot);
  Take(pilot, &state, a);
  Finish(pilot, &state, 0);
  clock_.Advance(hours(1));
  EXPECT_EQ(StatusOf(a).state, JobState::kCompleted);
  const auto forget = [&](bool task) {
    ASSERT_TRUE(adapter_->ForgetEnded([&](std::string_view) { return task; }).ok());
  };
  forget(true);
  EXPECT_THAT(Pilots(), ElementsAre(pilot)) << "nobody has booked it";
  settled = {pilot};
  forget(true);
  EXPECT_THAT(Pilots(), ElementsAre(pilot)) << "it has only just ended";
  clock_.Advance(hours(2));
  forget(true);
  EXPECT_THAT(Pilots(), IsEmpty());
}

TEST_F(PilotAdapterTest, UsageTellsBusyFromIdleAlsoOfAPilotThatWasKilled) {
  Submit(Spec("a"));
  const std::string pilot = Pilots().at(0);
  PilotState state = ComeUp(pilot);
  clock_.Advance(minutes(10));
  Take(pilot, &state, "trib-1.a");
  clock_.Advance(minutes(20));
  state.busy = minutes(20);
  Finish(pilot, &state, 0);
  clock_.Advance(minutes(5));
  state.beat = clock_.Now();
  ASSERT_TRUE(directory_.PutState(pilot, state).ok());
  std::vector<PilotUsage> usage = *ReadPilotUsage(options_.directory);
  EXPECT_TRUE(ReadPilotUsage(options_.directory, [](const std::string&) { return true; })->empty());
  ASSERT_THAT(usage, SizeIs(1));
  EXPECT_EQ(usage[0].nodes, 2);
  EXPECT_EQ(usage[0].busy, minutes(20));
  EXPECT_EQ(usage[0].idle(), minutes(15));
  EXPECT_EQ(usage[0].ended, std::nullopt);

  clock_.Advance(minutes(5));
  FakeSchedulerAdapter inner(cluster_);
  ASSERT_TRUE(inner.Cancel("fake-1").ok());
  StatusOf("trib-1.a");
  usage = *ReadPilotUsage(options_.directory);
  EXPECT_EQ(usage[0].idle(), minutes(20));
  EXPECT_EQ(usage[0].ended, clock_.Now());
}

}  // namespace
}  // namespace tributary::scheduler_adapters

// Everything that was seen to go wrong with PBS, and how a job fares through it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "tests/integration/pbs_harness.h"

namespace tributary::scheduler_adapters {
namespace {

using std::chrono::seconds;
using testing::Each;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

std::string UserName() { return getpwuid(geteuid())->pw_name; }

class PbsTest : public testing::Test {
 protected:
  SchedulerAdapter& adapter() { return pbs_.adapter(); }
  std::string Submit(const JobSpec& spec) {
    const auto id = adapter().Submit(spec);
    EXPECT_TRUE(id.ok()) << id.status();
    return id.ok() ? *id : "";
  }
  JobStatus StatusOf(const std::string& id) {
    const std::vector<std::string> ids = {id};
    return adapter().Query(ids).at(0);
  }
  JobStatus WaitUntil(const std::string& id, const std::function<bool(const JobStatus&)>& fine) {
    const auto give_up = std::chrono::steady_clock::now() + seconds(60);
    JobStatus status = StatusOf(id);
    while (!fine(status) && std::chrono::steady_clock::now() < give_up) {
      pbs_.Wait();
      status = StatusOf(id);
    }
    EXPECT_TRUE(fine(status)) << id << " is " << JobStateName(status.state) << " "
                              << status.raw_state << " " << status.message;
    return status;
  }
  JobStatus WaitForEnd(const std::string& id) {
    return WaitUntil(id, [](const JobStatus& s) { return IsTerminal(s.state); });
  }
  JobStatus WaitFor(const std::string& id, JobState state) {
    return WaitUntil(id, [&](const JobStatus& s) { return s.state == state; });
  }

  PbsStandInHarness pbs_;
};

TEST_F(PbsTest, ADeadServerSaysNothingAboutAJob) {
  const std::string id =
      Submit(pbs_.Shell("survivor", "while [ ! -e \"$1.go\" ]; do sleep 0.1; done"));
  WaitFor(id, JobState::kRunning);
  pbs_.Control(R"({"down": true})");
  JobStatus status = StatusOf(id);
  EXPECT_EQ(status.state, JobState::kUnknown);
  EXPECT_THAT(status.message, HasSubstr("cannot connect to server"));
  pbs_.Advance(seconds(100000));
  EXPECT_EQ(StatusOf(id).state, JobState::kUnknown);
  EXPECT_EQ(adapter().Submit(pbs_.Exiting("refused", 0)).status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(adapter().Find("never-seen").status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(adapter().ListLive("").status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(adapter().Version().status().code(), StatusCode::kUnavailable);
  EXPECT_FALSE(adapter().Cancel(id).ok());
  pbs_.Control("{}");
  EXPECT_EQ(StatusOf(id).state, JobState::kRunning);
  EXPECT_EQ(*adapter().Version(), "pbs 23.06.06");
}

TEST_F(PbsTest, AFrozenServerSaysNothingAboutAJob) {
  pbs_.options().command_timeout = seconds(2);
  pbs_.Restart();
  const std::string id = Submit(pbs_.Endless("frozen"));
  WaitFor(id, JobState::kRunning);
  pbs_.Control(R"({"hang": ["qstat", "qsub", "qdel", "qselect"]})");
  EXPECT_EQ(StatusOf(id).state, JobState::kUnknown);
  pbs_.Control("{}");
  EXPECT_EQ(StatusOf(id).state, JobState::kRunning);
}

TEST_F(PbsTest, AQsubThatSubmittedAndWasKilledRunsTheJobOnce) {
  pbs_.options().command_timeout = seconds(3);
  pbs_.Restart();
  pbs_.Control(R"({"hang_after": ["qsub"]})");
  const JobSpec spec = pbs_.Exiting("once", 0);
  EXPECT_EQ(adapter().Submit(spec).status().code(), StatusCode::kUnavailable);
  pbs_.Control("{}");
  pbs_.Restart();
  const std::string id = Submit(spec);
  EXPECT_EQ(WaitForEnd(id).state, JobState::kCompleted);
  EXPECT_EQ(Submit(spec), id);
  EXPECT_EQ(pbs_.Runs("once"), 1);
  EXPECT_THAT(pbs_.Run({"qselect", "-x"}), testing::SizeIs(1));
}

TEST_F(PbsTest, AQsubThatDidNothingIsRepeatedOnceTheMatterIsSettled) {
  pbs_.options().command_timeout = seconds(2);
  pbs_.Restart();
  pbs_.Control(R"({"hang": ["qsub"]})");
  const JobSpec spec = pbs_.Exiting("late", 0);
  EXPECT_EQ(adapter().Submit(spec).status().code(), StatusCode::kUnavailable);
  pbs_.Control("{}");
  EXPECT_EQ(adapter().Submit(spec).status().code(), StatusCode::kUnavailable);
  EXPECT_THAT(pbs_.Run({"qselect", "-x"}), IsEmpty());
  pbs_.Advance(pbs_.options().settle + seconds(1));
  EXPECT_EQ(WaitForEnd(Submit(spec)).state, JobState::kCompleted);
  EXPECT_EQ(pbs_.Runs("late"), 1);
}

TEST_F(PbsTest, ASecondSubmissionOfANameDoesNothing) {
  const JobSpec spec = pbs_.Exiting("twice", 0);
  EXPECT_EQ(WaitForEnd(Submit(spec)).state, JobState::kCompleted);
  const std::vector<std::string> second =
      pbs_.Run({"qsub", spec.working_directory + "/job.sh"});  // one that came through late
  ASSERT_EQ(second.size(), 1u);
  const JobStatus status = WaitForEnd(second[0]);
  EXPECT_EQ(status.exit_code, kClaimedExit);
  EXPECT_EQ(pbs_.Runs("twice"), 1);
}

TEST_F(PbsTest, AJobIsFoundAgainByItsNameAfterAllNotesAreLost) {
  const std::string id = Submit(pbs_.Exiting("lost", 4));
  WaitForEnd(id);
  pbs_.options().state_directory += "-new";
  pbs_.Restart();
  EXPECT_EQ(*adapter().Find("lost"), id);
  EXPECT_EQ(Submit(pbs_.Exiting("lost", 0)), id);
  EXPECT_EQ(WaitForEnd(id).exit_code, 4);
  EXPECT_EQ(pbs_.Runs("lost"), 1);
}

TEST_F(PbsTest, JobsAreSeenAmongBrokenOnesOfOthersInBothWritings) {
  std::vector<std::string> ids;
  for (int i = 0; i < 6; ++i) ids.push_back(Submit(pbs_.Endless("mine" + std::to_string(i))));
  for (const std::string& id : ids) WaitFor(id, JobState::kRunning);
  for (const std::string writer : {"head", "older"}) {
    pbs_.Control(R"({"first_id_only": true, "writer": ")" + writer +
                 R"(", "raw_jobs": ["\"9.pbs01\":{\"Job_Name\":nan,\"job_state\":\"Q\"}",)"
                 R"( "\"10.pbs01\":{\"X\":\",Y=1\",\"job_state\":\"R\"",)"
                 R"( "\"11.pbs01\":{\"X\":\"\u00e9 no end\\\",\n\"job_state\":\"Q\"}",)"
                 R"( "\"12.pbs01\":{\"X\":+4 \"Z\":inf}}"]})");
    for (int repeat = 0; repeat < 2; ++repeat) {
      for (const JobStatus& status : adapter().Query(ids)) {
        EXPECT_EQ(status.state, JobState::kRunning) << writer << " " << status.id << status.message;
      }
    }
    EXPECT_EQ(adapter().ListLive("mine")->size(), 6u);
  }
  // Nothing of such a listing is believed: each job is asked about alone.
  pbs_.Calls();
  adapter().Query(ids);
  EXPECT_EQ(pbs_.Calls().size(), 1 + ids.size());
  pbs_.Control(R"({"first_id_only": true})");
  pbs_.Calls();
  adapter().Query(ids);
  EXPECT_EQ(pbs_.Calls().size(), 1u);
}

TEST_F(PbsTest, JobsThatSomebodyElseMadeUpAreNeitherBelievedNorCancelled) {
  // More than few, so that the listing of everybody's jobs is read.
  std::vector<std::string> ids;
  for (int i = 0; i < 5; ++i) ids.push_back(Submit(pbs_.Endless("trib-1.t" + std::to_string(i))));
  for (const std::string& id : ids) WaitFor(id, JobState::kRunning);
  const JobSpec mine = pbs_.Endless("my-own-work");
  ASSERT_TRUE(WriteFileAtomic(mine.working_directory + "/job.sh",
                              "#!/bin/sh\n#PBS -N my-own-work\nexec sleep 1000\n", 0700)
                  .ok());
  const std::vector<std::string> own = pbs_.Run({"qsub", mine.working_directory + "/job.sh"});
  ASSERT_EQ(own.size(), 1u);
  const auto forged = [](const std::string& id, const std::string& name, const std::string& rest) {
    return "\"" + id + R"(": {"Job_Name": ")" + name + R"(", "Job_Owner": ")" + UserName() +
           R"(@pbs01", )" + rest + "}";
  };
  for (const std::string writer : {"head", "older"}) {
    pbs_.Control(R"({"first_id_only": true, "writer": ")" + writer + R"(", "mail_users": {)" +
                 forged(own[0], "trib-1.orphan", R"("job_state": "R")") + ", " +
                 forged(ids[0], "trib-1.orphan2", R"("job_state": "F", "Exit_status": 0)") + ", " +
                 forged(ids[1], "trib-1.t1", R"("job_state": "R")") + "}}");
    for (const JobStatus& status : adapter().Query(ids)) {
      EXPECT_EQ(status.state, JobState::kRunning) << writer << " " << status.id;
    }
    std::vector<std::string> names;
    const auto live = adapter().ListLive("trib-1.");  // not in the loop's head: it would be gone
    ASSERT_TRUE(live.ok()) << live.status();
    for (const NamedJob& job : *live) names.push_back(job.name);
    EXPECT_THAT(names, testing::ElementsAre("trib-1.t0", "trib-1.t1", "trib-1.t2", "trib-1.t3",
                                            "trib-1.t4"));
    EXPECT_EQ(adapter().Cancel(own[0]).code(), StatusCode::kNotFound);
  }
  // A forged R does not hide an end.
  EXPECT_TRUE(adapter().Cancel(ids[1]).ok());
  EXPECT_EQ(WaitForEnd(ids[1]).state, JobState::kCancelled);
  EXPECT_THAT(pbs_.Run({"qselect", "-N", "my-own-work"}), testing::ElementsAre(own[0]));
}

TEST_F(PbsTest, ALineAfterTheIdIsNotTheId) {
  const std::string first = Submit(pbs_.Endless("stranger"));
  pbs_.Control(R"({"qsub_says": ["1499.25", ")" + first + R"("]})");
  const std::string id = Submit(pbs_.Endless("mine"));
  EXPECT_THAT(pbs_.Run({"qselect", "-N", "mine"}), testing::ElementsAre(id));
  EXPECT_TRUE(adapter().Cancel(id).ok());
  EXPECT_EQ(WaitForEnd(id).state, JobState::kCancelled);
  EXPECT_EQ(StatusOf(first).state, JobState::kRunning);
}

TEST_F(PbsTest, JobNamesThatLookLikeNumbersAreFound) {
  pbs_.Control(R"({"writer": "older"})");
  for (const std::string name : {"nan", "1e5", "007", "12.5"}) {
    const std::string id = Submit(pbs_.Endless(name));
    const auto live = adapter().ListLive(name);
    ASSERT_TRUE(live.ok() && live->size() == 1) << name;
    EXPECT_EQ(live->at(0).id, id);
    EXPECT_EQ(*adapter().Find(name), id);
  }
}

TEST_F(PbsTest, TenThousandJobsOfOthersAreNoTrouble) {
  pbs_.Control(R"({"crowd": 10000, "first_id_only": true, "no_nodes": true})");
  std::vector<std::string> ids;
  for (int i = 0; i < 5; ++i) ids.push_back(Submit(pbs_.Endless("few" + std::to_string(i))));
  adapter().Query(ids);
  pbs_.Calls();
  for (const JobStatus& status : adapter().Query(ids)) EXPECT_EQ(status.state, JobState::kQueued);
  EXPECT_EQ(pbs_.Calls().size(), 1u);
  EXPECT_EQ(adapter().ListLive("few")->size(), 5u);
  EXPECT_THAT(pbs_.Calls(), Not(testing::Contains("qstat -f -F json")));  // nor are they read
}

TEST_F(PbsTest, ACancelThatPbsHearsLateIsACancelledJob) {
  const std::string id = Submit(pbs_.Endless("deaf"));
  WaitFor(id, JobState::kRunning);
  pbs_.Control(R"({"deaf": 1})");
  EXPECT_TRUE(adapter().Cancel(id).ok());
  EXPECT_EQ(StatusOf(id).state, JobState::kRunning);
  EXPECT_TRUE(adapter().Cancel(id).ok());
  const JobStatus status = WaitForEnd(id);
  EXPECT_EQ(status.state, JobState::kCancelled);
  EXPECT_EQ(status.raw_state, "F/93");
  EXPECT_EQ(status.exit_code, 137);
}

TEST_F(PbsTest, AJobThatSomebodyElseDeletedIsCancelled) {
  const std::string id = Submit(pbs_.Endless("deleted"));
  WaitFor(id, JobState::kRunning);
  pbs_.Run({"qdel", id});
  const JobStatus status = WaitForEnd(id);
  EXPECT_EQ(status.state, JobState::kCancelled);
  EXPECT_EQ(status.raw_state, "F/91");
}

TEST_F(PbsTest, AQueuedJobThatIsCancelledNeverRuns) {
  pbs_.Control(R"({"no_nodes": true, "estimate": 1795237646})");
  const std::string id = Submit(pbs_.Exiting("queued", 0));
  const JobStatus queued = WaitUntil(id, [](const JobStatus& s) { return !s.message.empty(); });
  EXPECT_EQ(queued.state, JobState::kQueued);
  EXPECT_THAT(queued.message, HasSubstr("Not enough free nodes"));
  EXPECT_EQ(**adapter().Estimate(id), TimestampFromMicros(1'795'237'646'000'000));
  EXPECT_TRUE(adapter().Cancel(id).ok());
  const JobStatus status = WaitForEnd(id);
  EXPECT_EQ(status.state, JobState::kCancelled);
  EXPECT_THAT(status.message, HasSubstr("never ran"));
  EXPECT_EQ(status.started, std::nullopt);
  EXPECT_EQ(*adapter().Estimate(id), std::nullopt);
  EXPECT_EQ(pbs_.Runs("queued"), 0);
}

TEST_F(PbsTest, TheWarningComesBeforeTheWalltimeEndsAJob) {
  JobSpec spec =
      pbs_.Shell("warned", "trap 'echo warned >> \"$1.runs\"' TERM\nwhile :; do sleep 0.1; done");
  spec.walltime = seconds(4);
  spec.warning_before = seconds(2);
  const std::string id = Submit(spec);
  const JobStatus status = WaitForEnd(id);
  EXPECT_EQ(status.state, JobState::kTimedOut);
  EXPECT_THAT(status.message, HasSubstr("exceeded resource walltime"));
  EXPECT_THAT(pbs_.Text("warned.runs"), HasSubstr("warned"));
  EXPECT_THAT(pbs_.Text("warned.err"), HasSubstr("=>> PBS: job killed: walltime"));
}

TEST_F(PbsTest, EndsAreKnownWhereTheServerKeepsNoHistory) {
  pbs_.Control(R"({"history": false})");
  const std::string good = Submit(pbs_.Exiting("good", 0));
  const std::string bad = Submit(pbs_.Exiting("bad", 7));
  EXPECT_EQ(WaitForEnd(good).state, JobState::kCompleted);
  const JobStatus status = WaitForEnd(bad);
  EXPECT_EQ(status.state, JobState::kFailed);
  EXPECT_EQ(status.exit_code, 7);
}

TEST_F(PbsTest, EndsAreKnownAfterTheHistoryIsPurged) {
  const std::string id = Submit(pbs_.Exiting("purged", 0));
  while (!pbs_.Run({"qselect"}).empty()) pbs_.Wait();
  pbs_.Control(R"({"purge": true})");
  const JobStatus status = StatusOf(id);
  EXPECT_EQ(status.state, JobState::kCompleted);
  ASSERT_TRUE(status.started && status.ended);
}

TEST_F(PbsTest, AnEndThatWasSeenOutlivesTheHistory) {
  const std::string id = Submit(pbs_.Exiting("seen", 3));
  const JobStatus first = WaitForEnd(id);
  pbs_.Control(R"({"purge": true})");
  pbs_.Restart();
  const JobStatus second = StatusOf(id);
  EXPECT_EQ(second.exit_code, 3);
  EXPECT_EQ(second.ended, first.ended);
}

TEST_F(PbsTest, AJobOfALostNodeRunsAgainUnderItsName) {
  pbs_.Control(R"({"node_fails": ["moved"]})");
  const std::string id = Submit(pbs_.Shell("moved", "sleep 2; exit 5"));
  const JobStatus status = WaitForEnd(id);
  EXPECT_EQ(status.state, JobState::kFailed);
  EXPECT_EQ(status.exit_code, 5);
  EXPECT_EQ(status.restarts, 1);
  EXPECT_EQ(pbs_.Runs("moved"), 2);
}

TEST_F(PbsTest, ACancelThatPbsForgetsWhileItRequeuesTheJobIsRepeated) {
  pbs_.Control(R"({"requeue": ["back"], "requeue_time": 3})");
  const std::string id = Submit(pbs_.Shell("back", "trap '' TERM; sleep 1000"));
  WaitUntil(id, [](const JobStatus& s) { return s.raw_state == "R/60"; });
  EXPECT_TRUE(adapter().Cancel(id).ok());
  WaitUntil(id, [](const JobStatus& s) {
    return s.state == JobState::kRunning && s.restarts == 1;  // as if nothing had been said
  });
  EXPECT_TRUE(adapter().Cancel(id).ok());
  EXPECT_EQ(WaitForEnd(id).state, JobState::kCancelled);
}

TEST_F(PbsTest, AllRunsOfARequeuedJobAreCharged) {
  pbs_.Control(R"({"requeue": ["again"], "requeue_after": 2, "requeue_time": 4})");
  const std::string id = Submit(pbs_.Shell("again", "sleep 3; exit 0"));
  bool was_back = false;
  const JobStatus end = WaitUntil(id, [&](const JobStatus& s) {
    was_back = was_back || (s.state == JobState::kQueued && s.restarts == 1);
    return IsTerminal(s.state);
  });
  EXPECT_EQ(end.state, JobState::kCompleted);
  EXPECT_EQ(end.restarts, 1);
  EXPECT_GE(end.usage.elapsed, seconds(4));  // of which PBS tells the last three
}

TEST_F(PbsTest, ASuspendedJobSaysSoAndGoesOn) {
  pbs_.Control(R"({"suspend": ["still"]})");
  const std::string id = Submit(pbs_.Shell("still", "sleep 1; exit 0"));
  const JobStatus still = WaitUntil(id, [](const JobStatus& s) { return s.suspended; });
  EXPECT_EQ(still.state, JobState::kRunning);
  EXPECT_EQ(still.raw_state, "S/43");
  pbs_.Control("{}");
  EXPECT_EQ(WaitForEnd(id).state, JobState::kCompleted);
}

TEST_F(PbsTest, ALostNodeIsOneAlsoWhereTheJobMayNotRunAgain) {
  pbs_.options().requeue = false;
  pbs_.Restart();
  pbs_.Control(R"({"node_fails": ["gone"]})");
  const JobStatus status = WaitForEnd(Submit(pbs_.Endless("gone")));
  EXPECT_EQ(status.state, JobState::kNodeFailed);
  EXPECT_EQ(status.raw_state, "F/93");
  EXPECT_THAT(status.message, HasSubstr("pbs status -20"));
}

TEST_F(PbsTest, PreemptionByDeletionIsPreemption) {
  pbs_.Control(R"({"preempt": ["weak"]})");
  EXPECT_EQ(WaitForEnd(Submit(pbs_.Endless("weak"))).state, JobState::kPreempted);
}

// A deletion and a walltime that is over, where nothing but the script's marks tells.
TEST_F(PbsTest, WithoutAHistoryAKilledJobIsNoLostNode) {
  pbs_.Control(R"({"history": false})");
  const std::string deleted = Submit(pbs_.Shell("deleted", "trap '' TERM; sleep 1000"));
  JobSpec spec = pbs_.Shell("over", "trap '' TERM; while :; do sleep 0.1; done");
  spec.walltime = seconds(3);
  const std::string over = Submit(spec);
  WaitFor(deleted, JobState::kRunning);
  pbs_.Run({"qdel", deleted});  // by the site's administrator
  while (!pbs_.Run({"qselect"}).empty()) pbs_.Wait();
  for (const std::string& id : {deleted, over}) EXPECT_EQ(StatusOf(id).state, JobState::kUnknown);
  pbs_.Advance(seconds(600));
  EXPECT_EQ(StatusOf(deleted).state, JobState::kCancelled);
  const JobStatus status = StatusOf(over);
  EXPECT_EQ(status.state, JobState::kTimedOut);
  EXPECT_LE(status.usage.elapsed, seconds(60));  // and not until now
}

TEST_F(PbsTest, AFirstCopyThatLivesOnDoesNotEndTheJob) {
  pbs_.Control(R"({"node_fails": ["copied"], "node_lives": true})");
  const std::string id = Submit(pbs_.Shell(
      "copied",
      "if [ $(wc -l < \"$1.runs\") = 1 ]; then sleep 2; echo over > \"$1.first\"; exit 0; fi\n"
      "while [ ! -e \"$1.first\" ]; do sleep 0.1; done; sleep 1; exit 5"));
  while (pbs_.Text("copied.first").empty() && !IsTerminal(StatusOf(id).state)) pbs_.Wait();
  EXPECT_EQ(StatusOf(id).state, JobState::kRunning);
  const JobStatus status = WaitForEnd(id);
  EXPECT_EQ(status.state, JobState::kFailed);
  EXPECT_EQ(status.exit_code, 5);
  EXPECT_EQ(status.restarts, 1);
}

TEST_F(PbsTest, AJobThatCannotBeStartedIsHeldAndSaysWhy) {
  pbs_.Control(R"({"start_fails": true})");
  const std::string id = Submit(pbs_.Exiting("unstartable", 0));
  const JobStatus status = WaitFor(id, JobState::kHeld);
  EXPECT_THAT(status.message, HasSubstr("too many failed attempts to run"));
  EXPECT_EQ(status.restarts, 21);
  EXPECT_EQ(status.exit_code, std::nullopt);
  EXPECT_TRUE(adapter().Cancel(id).ok());
  EXPECT_EQ(WaitForEnd(id).state, JobState::kCancelled);
  EXPECT_EQ(pbs_.Runs("unstartable"), 0);
}

TEST_F(PbsTest, AJobThatNoDestinationTakesIsLostAfterAWhile) {
  pbs_.Control(R"({"vanish": true})");
  JobSpec spec = pbs_.Exiting("unroutable", 0);
  spec.queue = "prod";
  const std::string id = Submit(spec);
  EXPECT_EQ(StatusOf(id).state, JobState::kUnknown);
  pbs_.Advance(seconds(600));
  const JobStatus status = StatusOf(id);
  EXPECT_EQ(status.state, JobState::kNodeFailed);
  EXPECT_THAT(status.message, HasSubstr("before it started"));
  EXPECT_EQ(pbs_.Runs("unroutable"), 0);
}

TEST_F(PbsTest, RefusalsAndFullQueuesAreToldApart) {
  JobSpec spec = pbs_.Exiting("refused", 0);
  spec.queue = "nosuchq";
  const Status refused = adapter().Submit(spec).status();
  EXPECT_EQ(refused.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(refused.message(), HasSubstr("Unknown queue"));
  EXPECT_EQ(adapter().CheckAccepted(spec).code(), StatusCode::kInvalidArgument);
  spec.queue = "debug";
  spec.nodes = 3;
  EXPECT_THAT(adapter().Submit(spec).status().message(), HasSubstr("resource limits"));
  spec.nodes = 1;
  pbs_.Control(R"({"refuse": [38, "qsub: would exceed queue generic's per-user limit"]})");
  for (int again = 0; again < 2; ++again) {
    const Status full = adapter().Submit(spec).status();
    EXPECT_EQ(full.code(), StatusCode::kResourceExhausted);
    EXPECT_THAT(full.message(),
                HasSubstr("refused for now: qsub: exit status 38: qsub: would exceed"));
  }
  EXPECT_EQ(pbs_.Runs("refused"), 0);
  pbs_.Control("{}");  // and no time is spent on looking for what was not taken
  EXPECT_EQ(WaitForEnd(Submit(spec)).state, JobState::kCompleted);
}

TEST_F(PbsTest, AcceptanceIsCheckedWithAHeldJobThatIsDeleted) {
  EXPECT_TRUE(adapter().CheckAccepted(pbs_.Exiting("probe", 0)).ok());
  EXPECT_THAT(pbs_.Run({"qselect"}), IsEmpty());
  EXPECT_EQ(pbs_.Runs("probe"), 0);
  EXPECT_EQ(*adapter().Find("probe"), std::nullopt);
}

TEST_F(PbsTest, NoDeletionNamesTwoJobs) {
  std::vector<std::string> ids;
  for (int i = 0; i < 3; ++i) ids.push_back(Submit(pbs_.Endless("many" + std::to_string(i))));
  for (const std::string& id : ids) EXPECT_TRUE(adapter().Cancel(id).ok());
  EXPECT_EQ(adapter().Cancel("99999.pbs01").code(), StatusCode::kNotFound);
  for (const std::string& id : ids) EXPECT_EQ(WaitForEnd(id).state, JobState::kCancelled);
  EXPECT_FALSE(pbs_.HasCrashed());
  EXPECT_THAT(pbs_.Calls(), Each(Not(testing::MatchesRegex("qdel .* .*"))));
}

}  // namespace
}  // namespace tributary::scheduler_adapters

#include "scheduler_adapters/slurm_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <charconv>
#include <string>
#include <vector>

namespace tributary::scheduler_adapters {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Timestamp At(const std::string& text) { return ParseTimestamp(text + "Z").value(); }

// A line as squeue prints it: each cell padded or cut to the width that was asked for.
std::string SqueueLine(const std::vector<std::string>& cells) {
  std::string line;
  std::string_view columns = "";
  const std::string text = SqueueColumns();
  columns = text;
  for (const std::string& cell : cells) {
    const std::string_view column = columns.substr(0, columns.find(','));
    std::size_t width = 0;
    const std::string_view number = column.substr(column.find(':') + 1);
    std::from_chars(number.data(), number.data() + number.size(), width);
    line += cell.substr(0, width) + std::string(width - std::min(width, cell.size()), ' ');
    columns.remove_prefix(std::min(columns.size(), column.size() + 1));
  }
  return line;
}

// What Slurm 22.05.8 printed.
const std::vector<std::string> kCompleted = {"101",
                                             "COMPLETED",
                                             "0",
                                             "0",
                                             "n1",
                                             "2026-11-21T15:23:21",
                                             "2026-11-21T15:23:22",
                                             "2026-11-21T15:23:25",
                                             "0:03",
                                             "1",
                                             "1",
                                             "cpu=1,mem=100M,node=1,billing=1",
                                             "N/A",
                                             "None",
                                             "ok"};
const std::vector<std::string> kFailed = {"102",
                                          "FAILED",
                                          "1792",
                                          "0",
                                          "n1",
                                          "2026-11-21T15:23:21",
                                          "2026-11-21T15:23:22",
                                          "2026-11-21T15:23:22",
                                          "0:00",
                                          "1",
                                          "1",
                                          "cpu=1,mem=100M,node=1,billing=1",
                                          "N/A",
                                          "NonZeroExitCode",
                                          "bad"};
const std::vector<std::string> kKilled = {"103",
                                          "FAILED",
                                          "9",
                                          "0",
                                          "n2",
                                          "2026-11-21T15:23:21",
                                          "2026-11-21T15:23:22",
                                          "2026-11-21T15:23:22",
                                          "0:00",
                                          "1",
                                          "1",
                                          "cpu=1,mem=100M,node=1,billing=1",
                                          "N/A",
                                          "JobLaunchFailure",
                                          "sig"};
const std::vector<std::string> kCancelledInQueue = {"108",
                                                    "CANCELLED",
                                                    "0",
                                                    "0",
                                                    "",
                                                    "2026-11-21T15:23:21",
                                                    "2026-11-21T15:23:24",
                                                    "2026-11-21T15:23:24",
                                                    "0:00",
                                                    "1",
                                                    "1",
                                                    "cpu=1,mem=100M,node=1,billing=1",
                                                    "N/A",
                                                    "JobHeldUser",
                                                    "canc"};
const std::vector<std::string> kRequeued = {"107",
                                            "PENDING",
                                            "0",
                                            "1",
                                            "",
                                            "2026-11-21T15:30:23",
                                            "2026-11-21T15:30:29",
                                            "2026-11-21T15:40:29",
                                            "0:00",
                                            "2",
                                            "4",
                                            "cpu=4,mem=400M,node=2,billing=4",
                                            "N/A",
                                            "BeginTime",
                                            "fut2"};
const std::vector<std::string> kRunning = {"121",
                                           "RUNNING",
                                           "0",
                                           "0",
                                           "n[1-3]",
                                           "2026-11-21T15:30:22",
                                           "2026-11-21T15:30:23",
                                           "2026-11-21T16:30:23",
                                           "0:01",
                                           "3",
                                           "3",
                                           "cpu=3,mem=300M,node=3,billing=3",
                                           "N/A",
                                           "None",
                                           "hi"};

JobStatus Squeue(const std::vector<std::string>& cells) {
  const auto job = ParseSqueueLine(SqueueLine(cells));
  EXPECT_TRUE(job);
  return job ? job->status : JobStatus();
}

TEST(LineSplitterTest, LinesAreTheSameHoweverTheTextIsCut) {
  const std::string text = "one\n\ntwo and three\nlast";
  for (std::size_t size = 1; size <= text.size(); ++size) {
    std::vector<std::string> lines;
    LineSplitter splitter([&](std::string_view line) { lines.emplace_back(line); });
    for (std::size_t at = 0; at < text.size(); at += size) {
      splitter.Feed(std::string_view(text).substr(at, size));
    }
    splitter.Finish();
    EXPECT_THAT(lines, ElementsAre("one", "", "two and three", "last")) << size;
  }
}

TEST(LineSplitterTest, EndlessLineIsCutNotHeld) {
  std::vector<std::size_t> sizes;
  LineSplitter splitter([&](std::string_view line) { sizes.push_back(line.size()); });
  for (int i = 0; i < 1000; ++i) splitter.Feed(std::string(1000, 'x'));
  splitter.Feed("\nshort\n");
  EXPECT_THAT(sizes, ElementsAre(LineSplitter::kMaxLine, 5U));
}

struct SlurmStateCase {
  std::string word, reason;
  JobState state;
};

TEST(SlurmJobStateTest, EveryStateOfBothVersions) {
  // squeue's words and reasons as recorded with 22.05.8 and 24.11.5.
  const std::vector<SlurmStateCase> cases = {
      {"PENDING", "Resources", JobState::kQueued},
      {"PENDING", "Priority", JobState::kQueued},
      {"PENDING", "Dependency", JobState::kQueued},
      {"PENDING", "DependencyNeverSatisfied", JobState::kQueued},
      {"PENDING", "BeginTime", JobState::kQueued},
      {"PENDING", "JobHeldUser", JobState::kHeld},
      {"PENDING", "JobHeldAdmin", JobState::kHeld},
      {"PENDING", "Licenses", JobState::kQueued},
      {"PENDING", "PartitionDown", JobState::kQueued},
      {"PENDING", "PartitionTimeLimit", JobState::kQueued},
      {"PENDING", "ReqNodeNotAvail, UnavailableNodes:n3", JobState::kQueued},
      {"PENDING", "AssocMaxJobsLimit", JobState::kQueued},
      {"PENDING", "job requeued in held state", JobState::kHeld},
      {"PENDING", "launch failed requeued held", JobState::kHeld},
      {"PENDING", "JobHoldMaxRequeue", JobState::kHeld},
      {"SPECIAL_EXIT", "job requeued in held state", JobState::kHeld},
      {"RUNNING", "None", JobState::kRunning},
      {"SUSPENDED", "None", JobState::kRunning},
      {"COMPLETING", "None", JobState::kRunning},
      {"CONFIGURING", "None", JobState::kRunning},
      {"COMPLETED", "None", JobState::kCompleted},
      {"FAILED", "NonZeroExitCode", JobState::kFailed},
      {"FAILED", "RaisedSignal:9(Killed)", JobState::kFailed},
      {"CANCELLED", "JobHeldUser", JobState::kCancelled},
      {"CANCELLED", "DependencyNeverSatisfied", JobState::kCancelled},
      {"TIMEOUT", "TimeLimit", JobState::kTimedOut},
      {"DEADLINE", "DeadLine", JobState::kTimedOut},
      {"OUT_OF_MEMORY", "OutOfMemory", JobState::kOutOfMemory},
      {"NODE_FAIL", "NodeDown", JobState::kNodeFailed},
      {"BOOT_FAIL", "None", JobState::kNodeFailed},
      {"PREEMPTED", "None", JobState::kPreempted},
  };
  for (const SlurmStateCase& c : cases) {
    EXPECT_EQ(SlurmJobState(c.word, c.reason), c.state) << c.word << " " << c.reason;
  }
}

TEST(SlurmJobStateTest, WordsComeInManyForms) {
  const std::vector<SlurmStateCase> cases = {
      {"CANCELLED by 0", "", JobState::kCancelled},
      {"CANCELLED+", "", JobState::kCancelled},
      {"OUT_OF_ME+", "", JobState::kOutOfMemory},
      {"NODE_FAIL+", "", JobState::kNodeFailed},
      {"PD", "", JobState::kQueued},
      {"R", "", JobState::kRunning},
      {"CG", "", JobState::kRunning},
      {"CD", "", JobState::kCompleted},
      {"CA", "", JobState::kCancelled},
      {"F", "", JobState::kFailed},
      {"TO", "", JobState::kTimedOut},
      {"OOM", "", JobState::kOutOfMemory},
      {"NF", "", JobState::kNodeFailed},
      {"PR", "", JobState::kPreempted},
      {"SE", "", JobState::kHeld},
      {R"(["RUNNING"])", "", JobState::kRunning},
      {R"(["RUNNING", "COMPLETING"])", "", JobState::kRunning},
      {R"(["CANCELLED","COMPLETING"])", "", JobState::kRunning},
      {R"(["PENDING","SPECIAL_EXIT"])", "", JobState::kHeld},
      {R"(["COMPLETED","A_FLAG_OF_TOMORROW"])", "", JobState::kCompleted},
      {"REVOKED", "", JobState::kUnknown},
      {"A_STATE_OF_TOMORROW", "", JobState::kUnknown},
      {"+", "", JobState::kUnknown},
      {"", "JobHeldUser", JobState::kUnknown},
  };
  for (const SlurmStateCase& c : cases)
    EXPECT_EQ(SlurmJobState(c.word, c.reason), c.state) << c.word;
}

TEST(SqueueTest, CompletedJob) {
  const auto job = ParseSqueueLine(SqueueLine(kCompleted));
  ASSERT_TRUE(job);
  EXPECT_EQ(job->name, "ok");
  const JobStatus& status = job->status;
  EXPECT_EQ(status.id, "101");
  EXPECT_EQ(status.state, JobState::kCompleted);
  EXPECT_EQ(status.raw_state, "COMPLETED");
  EXPECT_EQ(status.exit_code, 0);
  EXPECT_EQ(status.submitted, At("2026-11-21T15:23:21"));
  EXPECT_EQ(status.started, At("2026-11-21T15:23:22"));
  EXPECT_EQ(status.ended, At("2026-11-21T15:23:25"));
  EXPECT_EQ(status.usage.nodes, 1);
  EXPECT_EQ(status.usage.cpus, 1);
  EXPECT_EQ(status.usage.gpus, 0);
  EXPECT_EQ(status.usage.elapsed, seconds(3));
  EXPECT_EQ(status.message, "");
}

TEST(SqueueTest, FailuresKeepExitCodeOrSignal) {
  EXPECT_EQ(Squeue(kFailed).exit_code, 7);
  EXPECT_EQ(Squeue(kFailed).message, "exit code 7");
  EXPECT_EQ(Squeue(kKilled).exit_code, 137);
  EXPECT_EQ(Squeue(kKilled).message, "signal 9 (JobLaunchFailure)");
  std::vector<std::string> newer = kKilled;
  newer[2] = "0:9";
  newer[13] = "RaisedSignal:9(Killed)";
  EXPECT_EQ(Squeue(newer).exit_code, 137);
  EXPECT_EQ(Squeue(newer).message, "signal 9 (RaisedSignal:9(Killed))");
}

TEST(SqueueTest, JobThatCouldNotBeLaunchedHasNoExitCode) {
  std::vector<std::string> cells = kFailed;
  cells[2] = "53";
  cells[13] = "JobLaunchFailure";
  EXPECT_EQ(Squeue(cells).state, JobState::kFailed);
  EXPECT_EQ(Squeue(cells).exit_code, std::nullopt);
  EXPECT_THAT(Squeue(cells).message, HasSubstr("could not be started"));
}

TEST(SqueueTest, WaitingJobHasAnExpectedStartAndNoUsage) {
  const auto job = ParseSqueueLine(SqueueLine(kRequeued));
  ASSERT_TRUE(job);
  EXPECT_EQ(job->status.state, JobState::kQueued);
  EXPECT_EQ(job->status.restarts, 1);
  EXPECT_EQ(job->status.started, std::nullopt);
  EXPECT_EQ(job->status.ended, std::nullopt);
  EXPECT_EQ(job->status.usage.nodes, 0);
  EXPECT_EQ(job->expected_start, At("2026-11-21T15:30:29"));
  EXPECT_EQ(job->status.message, "BeginTime");
  std::vector<std::string> held = kRequeued;
  held[6] = held[7] = "N/A";
  held[13] = "JobHeldUser";
  EXPECT_EQ(ParseSqueueLine(SqueueLine(held))->expected_start, std::nullopt);
}

TEST(SqueueTest, JobCancelledInTheQueueNeverStarted) {
  const JobStatus status = Squeue(kCancelledInQueue);
  EXPECT_EQ(status.state, JobState::kCancelled);
  EXPECT_EQ(status.started, std::nullopt);
  EXPECT_EQ(status.ended, At("2026-11-21T15:23:24"));
  EXPECT_EQ(status.usage.nodes, 0);
  EXPECT_EQ(status.exit_code, std::nullopt);
}

TEST(SqueueTest, RunningJobHasUsageButNoEnd) {
  const JobStatus status = Squeue(kRunning);
  EXPECT_EQ(status.state, JobState::kRunning);
  EXPECT_EQ(status.started, At("2026-11-21T15:30:23"));
  EXPECT_EQ(status.ended, std::nullopt);
  EXPECT_EQ(status.exit_code, std::nullopt);
  EXPECT_EQ(status.usage.nodes, 3);
  EXPECT_EQ(status.usage.elapsed, seconds(1));
}

TEST(SqueueTest, GpusAreCountedOnceWithOrWithoutTypes) {
  std::vector<std::string> cells = kRunning;
  cells[11] = "cpu=8,mem=1G,node=2,billing=8,gres/gpu=8,gres/gpu:a100=8";
  EXPECT_EQ(Squeue(cells).usage.gpus, 8);
  cells[11] = "cpu=8,gres/gpu:a100=4,gres/gpu:h100=2";
  EXPECT_EQ(Squeue(cells).usage.gpus, 6);
  cells[11] = "cpu=8,mem=1G,node=3,billing=8";
  EXPECT_EQ(Squeue(cells).usage.gpus, 0);
  // Sites that do not count them: what was asked for, on each of three nodes.
  for (const std::string request : {"gres:gpu:2", "gres/gpu:2", "gres/gpu:a100:2", "gres/gpu=2"}) {
    cells[12] = request;
    EXPECT_EQ(Squeue(cells).usage.gpus, 6) << request;
  }
}

TEST(SqueueTest, NamesHoldAnything) {
  std::vector<std::string> cells = kRunning;
  cells[14] = "a | b, RUNNING 77";
  EXPECT_EQ(ParseSqueueLine(SqueueLine(cells))->name, "a | b, RUNNING 77");
  cells[14] = std::string(1000, 'n');
  EXPECT_EQ(ParseSqueueLine(SqueueLine(cells))->name.size(), 128U);
}

TEST(SqueueTest, OtherLinesAreNoJobs) {
  std::vector<std::string> cells = kRunning;
  for (const std::string id : {"", "112_[2-5%2]", "112_1", "JOBID", "CLUSTER: c1"}) {
    cells[0] = id;
    EXPECT_FALSE(ParseSqueueLine(SqueueLine(cells))) << id;
  }
  EXPECT_FALSE(ParseSqueueLine(""));
  EXPECT_FALSE(ParseSqueueLine("101"));
  EXPECT_FALSE(ParseSqueueLine("slurm_load_jobs error: Invalid job id specified"));
}

JobStatus Sacct(const std::string& line) {
  const auto job = ParseSacctLine(line);
  EXPECT_TRUE(job) << line;
  return job ? job->status : JobStatus();
}

TEST(SacctTest, RecordedRows) {
  const JobStatus done = Sacct(
      "101|COMPLETED|0:0|2026-11-21T15:23:21|2026-11-21T15:23:22|2026-11-21T15:23:25|3|1|1|"
      "billing=1,cpu=1,mem=100M,node=1|ok");
  EXPECT_EQ(done.state, JobState::kCompleted);
  EXPECT_EQ(done.exit_code, 0);
  EXPECT_EQ(done.ended, At("2026-11-21T15:23:25"));
  EXPECT_EQ(done.usage.elapsed, seconds(3));
  EXPECT_EQ(done.usage.nodes, 1);

  const JobStatus failed = Sacct(
      "102|FAILED|7:0|2026-11-21T15:23:21|2026-11-21T15:23:22|2026-11-21T15:23:22|0|1|1|"
      "billing=1,cpu=1,mem=100M,node=1|bad");
  EXPECT_EQ(failed.exit_code, 7);
  EXPECT_EQ(failed.message, "exit code 7");
  EXPECT_EQ(Sacct("103|FAILED|0:9|2026-11-21T15:23:21|2026-11-21T15:23:22|2026-11-21T15:23:22|0|1|"
                  "1|billing=1,cpu=1,mem=100M,node=1|sig")
                .exit_code,
            137);

  const JobStatus cancelled =
      Sacct("108|CANCELLED by 0|0:0|2026-11-21T15:23:21|None|2026-11-21T15:23:24|0|0|1||canc");
  EXPECT_EQ(cancelled.state, JobState::kCancelled);
  EXPECT_EQ(cancelled.raw_state, "CANCELLED by 0");
  EXPECT_EQ(cancelled.started, std::nullopt);
  EXPECT_EQ(cancelled.usage.cpus, 0);
  EXPECT_EQ(cancelled.exit_code, std::nullopt);

  const JobStatus waiting =
      Sacct("105|PENDING|0:0|2026-11-21T15:23:21|Unknown|Unknown|0|0|1||held");
  EXPECT_EQ(waiting.state, JobState::kQueued);
  EXPECT_EQ(waiting.ended, std::nullopt);
  // Cancelled while held: its start is its end.
  EXPECT_EQ(Sacct("101|CANCELLED by 0|0:0|2026-11-21T16:04:46|2026-11-21T16:04:46|"
                  "2026-11-21T16:04:46|0|0|0||allocation")
                .started,
            std::nullopt);
}

TEST(SacctTest, OtherLinesAreNoJobs) {
  EXPECT_FALSE(ParseSacctLine(""));
  EXPECT_FALSE(ParseSacctLine("101|COMPLETED|0:0"));
  EXPECT_FALSE(ParseSacctLine("101.batch|COMPLETED|0:0|a|b|c|0|1|1||batch"));
  EXPECT_FALSE(ParseSacctLine("104_[1-4]|PENDING|0:0|a|b|c|0|1|1||arr"));
  EXPECT_FALSE(ParseSacctLine("Slurm accounting storage is disabled"));
}

SacctJobs Merge(const std::vector<std::string>& lines) {
  SacctJobs jobs;
  for (const std::string& line : lines) jobs.Add(ParseSacctLine(line).value());
  return jobs;
}

// 24.11.5: preempted twice, then completed.
const std::string kFirst =
    "107|PREEMPTED|0:0|2026-11-21T05:23:11|2026-11-21T05:23:11|2026-11-21T05:23:21|10|3|6|"
    "billing=6,cpu=6,gres/gpu=3,mem=600M,node=3|pr";
const std::string kSecond =
    "107|REQUEUED|0:0|2026-11-21T05:23:21|2026-11-21T05:23:30|2026-11-21T05:23:35|5|3|6|"
    "billing=6,cpu=6,gres/gpu=3,mem=600M,node=3|pr";
const std::string kThird =
    "107|COMPLETED|0:0|2026-11-21T05:23:35|2026-11-21T05:23:42|2026-11-21T05:23:49|7|3|6|"
    "billing=6,cpu=6,gres/gpu=3,mem=600M,node=3|pr";

TEST(SacctTest, IncarnationsMakeOneJobInAnyOrder) {
  for (const auto& lines :
       {std::vector{kFirst, kSecond, kThird}, std::vector{kThird, kFirst, kSecond},
        std::vector{kSecond, kThird, kFirst}}) {
    const SacctJobs merged = Merge(lines);
    const SacctJob& job = merged.jobs().at("107");
    EXPECT_EQ(job.status.state, JobState::kCompleted);
    EXPECT_EQ(job.status.restarts, 2);
    EXPECT_EQ(job.status.usage.elapsed, seconds(22));
    EXPECT_EQ(job.last_elapsed, seconds(7));
    EXPECT_EQ(job.status.usage.gpus, 3);
    EXPECT_EQ(job.status.started, At("2026-11-21T05:23:42"));
  }
}

TEST(SacctTest, IncarnationThatNeverStartedKeepsWhatWasUsed) {
  const SacctJobs merged = Merge(
      {kFirst, "107|CANCELLED by 0|0:0|2026-11-21T05:23:21|None|2026-11-21T05:23:25|0|0|3||pr"});
  const JobStatus& status = merged.jobs().at("107").status;
  EXPECT_EQ(status.state, JobState::kCancelled);
  EXPECT_EQ(status.usage.nodes, 3);
  EXPECT_EQ(status.usage.elapsed, seconds(10));
}

TEST(SacctTest, IdGivenOutAgainIsAnotherJob) {
  const std::string old_job =
      "107|FAILED|1:0|2020-01-01T00:00:00|2020-01-01T00:00:00|2020-01-01T01:00:00|3600|1|1||other";
  for (const auto& lines : {std::vector{old_job, kThird}, std::vector{kThird, old_job}}) {
    const SacctJobs merged = Merge(lines);
    const JobStatus& status = merged.jobs().at("107").status;
    EXPECT_EQ(status.state, JobState::kCompleted);
    EXPECT_EQ(status.usage.elapsed, seconds(7));
    EXPECT_EQ(status.restarts, 0);
  }
}

TEST(SlurmTextTest, SubmittedIds) {
  EXPECT_THAT(ParseSubmittedIds("135\n"), ElementsAre("135"));
  EXPECT_THAT(ParseSubmittedIds("136;c28999\n"), ElementsAre("136;c28999"));
  EXPECT_THAT(ParseSubmittedIds("Your project has 3 hours left\n137\n"), ElementsAre("137"));
  EXPECT_THAT(ParseSubmittedIds("1001\nHours left:\n 2026\n"), ElementsAre("2026", "1001"));
  EXPECT_THAT(ParseSubmittedIds("Submitted batch job 138\n0\n-5\n7;\n7;a b\n"), IsEmpty());
  EXPECT_THAT(ParseSubmittedIds(""), IsEmpty());
}

TEST(SlurmTextTest, TheClusterIsTheLastThatADirectiveChooses) {
  const auto cluster = [](std::vector<std::string> directives) { return ClusterIn(directives); };
  EXPECT_EQ(cluster({}), "");
  EXPECT_EQ(cluster({"--constraint=gpu", "--mem=1G"}), "");
  EXPECT_EQ(cluster({"--clusters=gpu"}), "gpu");
  EXPECT_EQ(cluster({"--clusters=\"gpu\""}), "gpu");
  EXPECT_EQ(cluster({"--clusters gpu"}), "gpu");
  EXPECT_EQ(cluster({"-M gpu", "--qos=x"}), "gpu");
  EXPECT_EQ(cluster({"-Mgpu", "--cluster=cpu"}), "cpu");
  EXPECT_EQ(cluster({"--cluster-constraint=x"}), "");
}

TEST(SlurmTextTest, TestOnlyStart) {
  EXPECT_EQ(ParseTestOnlyStart("sbatch: Job 134 to start at 2026-11-21T07:39:27 using 2 processors "
                               "on nodes n[1-2] in partition debug\n"),
            At("2026-11-21T07:39:27"));
  EXPECT_EQ(ParseTestOnlyStart("allocation failure: Requested nodes are busy"), std::nullopt);
  EXPECT_EQ(ParseTestOnlyStart("sbatch: Job 1 to start at N/A"), std::nullopt);
}

TEST(SlurmTextTest, VersionsAndPings) {
  EXPECT_EQ(ParseSlurmVersion("slurm-wlm 22.05.8\n"), "22.05.8");
  EXPECT_EQ(ParseSlurmVersion("slurm 24.11.5"), "24.11.5");
  EXPECT_EQ(ParseSlurmVersion("scontrol: not here"), std::nullopt);
  EXPECT_EQ(ParseSlurmVersion("slurm"), std::nullopt);
  EXPECT_TRUE(SomeControllerIsUp("Slurmctld(primary) at head1 is UP\n"));
  EXPECT_TRUE(SomeControllerIsUp(
      "Slurmctld(primary) at head1 is DOWN\nSlurmctld(backup) at head2 is UP\n"));
  EXPECT_FALSE(SomeControllerIsUp(
      "Slurmctld(primary) at head1 is DOWN\n*****************************************\n"
      "** RESTORE SLURMCTLD DAEMON TO SERVICE **\n"));
}

TEST(SlurmTextTest, RefusalsAreForGood) {
  for (const std::string words : {
           "sbatch: error: invalid partition specified: nosuch\n"
           "sbatch: error: Batch job submission failed: Invalid partition name specified\n",
           "sbatch: error: Memory specification can not be satisfied\n"
           "sbatch: error: Batch job submission failed: Requested node configuration is not "
           "available\n",
           "sbatch: error: Invalid --time specification\n",
           "sbatch: error: Batch job submission failed: Invalid feature specification\n",
           "sbatch: error: Invalid generic resource (gres) specification\n",
           "sbatch: error: Batch job submission failed: Invalid account or account/partition "
           "combination specified\n",
           "sbatch: error: QOSMaxWallDurationPerJobLimit\n"
           "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job "
           "submit limit, user's size and/or time limits)\n",
           "allocation failure: Requested node configuration is not available\n",
       }) {
    EXPECT_EQ(SbatchTroubleIn(words), SbatchTrouble::kRefused) << words;
  }
}

TEST(SlurmTextTest, OutagesAndForeignWordsRefuseNothing) {
  for (const std::string words : {
           "sbatch: error: Batch job submission failed: Unable to contact slurm controller "
           "(connect failure)\n",
           "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation\n",
           "sbatch: error: If munged is up, restart with --num-threads=10\n"
           "sbatch: error: Munge encode failed: Failed to access \"DIR/munge/munge.socket\": No "
           "such file or directory (Did you start munged?)\n"
           "sbatch: error: Batch job submission failed: Protocol authentication error\n",
           "sbatch: error: Batch job submission failed: Zero Bytes were transmitted or received\n",
           "sbatch: error: resolve_ctls_from_dns_srv: res_nsearch error: Unknown host\n"
           "sbatch: fatal: Could not establish a configuration source\n",
           "ssh: connect to host login1 port 22: No route to host\n",
           "bash: line 1: sbatch: command not found\n",
           "",
       }) {
    EXPECT_EQ(SbatchTroubleIn(words), SbatchTrouble::kUnreachable) << words;
  }
}

TEST(SlurmTextTest, LimitsAndDownNodesPass) {
  for (const std::string words : {
           "sbatch: error: QOSMaxSubmitJobPerUserLimit\n"
           "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job "
           "submit limit, user's size and/or time limits)\n",
           "sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying\n",
           "allocation failure: Requested nodes are busy\n",
           "sbatch: error: Batch job submission failed: Required node not available (down, "
           "drained or reserved)\n",
       }) {
    EXPECT_EQ(SbatchTroubleIn(words), SbatchTrouble::kNotNow) << words;
  }
}

TEST(SlurmTextTest, ExitCodesOfBothForms) {
  EXPECT_EQ(ParseSlurmExit("0"), 0);
  EXPECT_EQ(ParseSlurmExit("1792"), 7);
  EXPECT_EQ(ParseSlurmExit("9"), 137);
  EXPECT_EQ(ParseSlurmExit("0:0"), 0);
  EXPECT_EQ(ParseSlurmExit("7:0"), 7);
  EXPECT_EQ(ParseSlurmExit("0:15"), 143);
  EXPECT_EQ(ParseSlurmExit("0:125"), std::nullopt);
  EXPECT_EQ(ParseSlurmExit("0:53"), std::nullopt);
  EXPECT_EQ(ParseSlurmExit(""), std::nullopt);
  EXPECT_EQ(ParseSlurmExit("x:1"), std::nullopt);
}

TEST(SlurmTextTest, Durations) {
  EXPECT_EQ(ParseSlurmDuration("0:03"), seconds(3));
  EXPECT_EQ(ParseSlurmDuration("1:02:03"), seconds(3723));
  EXPECT_EQ(ParseSlurmDuration("2-00:00:01"), seconds(172801));
  EXPECT_EQ(ParseSlurmDuration("INVALID"), std::nullopt);
  EXPECT_EQ(ParseSlurmDuration(""), std::nullopt);
}

TEST(SlurmTextTest, QuotedValues) {
  EXPECT_EQ(SbatchQuote("/a b/#c"), "\"/a b/#c\"");
  EXPECT_EQ(SbatchQuote("a\"b\\c"), "\"a\\\"b\\\\c\"");
}

}  // namespace
}  // namespace tributary::scheduler_adapters

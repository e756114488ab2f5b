// Quoted texts were printed by OpenPBS.
#include "scheduler_adapters/pbs_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tributary::scheduler_adapters {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(PbsTextTest, KnowsItsIds) {
  for (const std::string id : {"1.pbs01", "123", "1035[1].pbs01", "1035[].pbs01",
                               "349710.polaris-pbs-01.hsn.cm.polaris.alcf.anl.gov"}) {
    EXPECT_TRUE(IsPbsJobId(id)) << id;
  }
  for (const std::string id : {"", "abc", "1.", ".pbs01", "1.pbs 01", "1[", "1[a].x", "1]", "-1.x",
                               "1.pbs01\n", "349726.polaris-p*", "1.x@y", "../1"}) {
    EXPECT_FALSE(IsPbsJobId(id)) << id;
  }
  EXPECT_FALSE(IsPbsJobId(std::string(100000, '1')));
}

TEST(PbsTextTest, AJobIsTheSameUnderAShorterServerName) {
  EXPECT_TRUE(IsSamePbsJob("1.pbs01", "1.pbs01"));
  EXPECT_TRUE(IsSamePbsJob("12", "12.pbs01"));
  EXPECT_TRUE(IsSamePbsJob("12.polaris-pbs-01.hsn.cm", "12.polaris-pbs-01"));
  EXPECT_FALSE(IsSamePbsJob("1.pbs01", "11.pbs01"));
  EXPECT_FALSE(IsSamePbsJob("1.pbs01", "1.pbs011"));
  EXPECT_FALSE(IsSamePbsJob("1.pbs01", "1.pbs02"));
  EXPECT_FALSE(IsSamePbsJob("1", "1[].pbs01"));
}

TEST(PbsTextTest, ReadsTimesAndDurations) {
  EXPECT_EQ(ParsePbsTime("Sat Nov 21 04:43:49 2026"), TimestampFromMicros(1'795'236'229'000'000));
  EXPECT_EQ(ParsePbsTime("1795236229"), TimestampFromMicros(1'795'236'229'000'000));
  EXPECT_EQ(ParsePbsTime("Sun Nov  1 00:00:00 2026"), TimestampFromMicros(1'793'491'200'000'000));
  for (const std::string text :
       {"", "UNKNOWN", "Sat Nov 31 04:43:49 2026", "Sat Nov 21 24:43:49 2026", "Sat Nov 21 2026",
        "Sat ovD 21 04:43:49 2026", "Sat Nov 21 04:43:49 99999", "-5", "0", "99999999999999999"}) {
    EXPECT_EQ(ParsePbsTime(text), std::nullopt) << text;
  }
  EXPECT_EQ(ParsePbsDuration("00:00:08"), seconds(8));
  EXPECT_EQ(ParsePbsDuration("200:30:00"), seconds(721800));
  EXPECT_EQ(ParsePbsDuration("90"), seconds(90));
  for (const std::string text : {"", "abc", "1:-2:3", "1:2:x", "99999999999:00:00"}) {
    EXPECT_EQ(ParsePbsDuration(text), std::nullopt) << text;
  }
  EXPECT_EQ(FormatPbsDuration(seconds(300)), "00:05:00");
  EXPECT_EQ(FormatPbsDuration(seconds(721800)), "200:30:00");
}

constexpr std::string_view kFolded = R"(Job Id: 1.pbs01
    Job_Name = myjob
    Job_Owner = user1@pbs01
    job_state = R
    queue = debug
    ctime = Sat Nov 21 04:43:40 2026
    exec_vnode = (x3001c0s7b0n0:ncpus=64:ngpus=4)
    Resource_List.ncpus = 64
    Resource_List.ngpus = 4
    Resource_List.nodect = 1
    Resource_List.select = 1:system=polaris
    Resource_List.walltime = 00:05:00
    stime = Sat Nov 21 04:43:40 2026
    substate = 41
    Variable_List = PBS_O_HOME=/home/user1,PBS_O_LOGNAME=user1,
	PBS_O_PATH=/opt/openpbs/bin:/usr/bin:/bin,PBS_O_SHELL=/bin/bash,
	PBS_O_SYSTEM=Linux,MYVAR=hello,OTHER=a b,PBS_O_QUEUE=debug,PBS_O_HOST=pbs01
    comment = Job run at Sat Nov 21 at 04:43 on (x3001c0s7b0n0:ncpus=64:ngpus=4
	)
    run_count = 1
    project = _pbs_project_default

)";

TEST(PbsTextTest, ReadsFoldedText) {
  const auto job = ParseQstatText(kFolded);
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->at("comment"),
            "Job run at Sat Nov 21 at 04:43 on (x3001c0s7b0n0:ncpus=64:ngpus=4)");
  EXPECT_EQ(job->at("Resource_List.nodect"), "1");
  const JobStatus status = PbsJobStatus("1.pbs01", *job);
  EXPECT_EQ(status.state, JobState::kRunning);
  EXPECT_EQ(status.raw_state, "R/41");
  EXPECT_EQ(status.started, ParsePbsTime("Sat Nov 21 04:43:40 2026"));
  EXPECT_EQ(status.usage.cpus, 64);
  EXPECT_EQ(status.usage.gpus, 4);
  EXPECT_EQ(status.usage.nodes, 1);
  EXPECT_FALSE(ParseQstatText("").ok());
  EXPECT_FALSE(ParseQstatText("Job id            Name             User\n").ok());
}

TEST(PbsTextTest, ReadsTheServersVersion) {
  const auto server = ParseQstatText(
      "Server: pbs01\n    server_state = Active\n    total_jobs = 137\n"
      "    state_count = Transit:0 Queued:0 Held:0 Waiting:0 Running:0 Exiting:0 Begun\n\t:0 \n"
      "    pbs_version = 23.06.06\n    eligible_time_enable = True\n\n");
  ASSERT_TRUE(server.ok());
  EXPECT_EQ(server->at("pbs_version"), "23.06.06");
}

struct PbsStateCase {
  std::string what;
  PbsAttributes attributes;
  JobState state;
  std::optional<int> exit_code;
  std::string words;
};

// The states as they were recorded; section by section of the state machine.
const std::vector<PbsStateCase>& StateCases() {
  const std::string run = "Job run at Sat Nov 21 at 04:43 on (x3001c0s7b0n0:ncpus=64:ngpus=4)";
  static const std::vector<PbsStateCase> cases = {
      {"queued",
       {{"job_state", "Q"},
        {"substate", "10"},
        {"comment", "Not Running: Not enough free nodes available"}},
       JobState::kQueued,
       {},
       "Not enough free nodes"},
      {"in transit", {{"job_state", "T"}}, JobState::kQueued, {}, "on its way"},
      {"waiting", {{"job_state", "W"}, {"substate", "30"}}, JobState::kQueued, {}, "waits"},
      {"held by its user",
       {{"job_state", "H"}, {"Hold_Types", "u"}, {"substate", "20"}},
       JobState::kHeld,
       {},
       "hold u"},
      {"held after failed starts",
       {{"job_state", "H"},
        {"Hold_Types", "s"},
        {"substate", "20"},
        {"run_count", "21"},
        {"Exit_status", "-3"},
        {"comment", "job held, too many failed attempts to run"}},
       JobState::kHeld,
       {},
       "too many failed attempts"},
      {"running",
       {{"job_state", "R"}, {"substate", "42"}, {"comment", run}},
       JobState::kRunning,
       {},
       "Job run at"},
      {"suspended", {{"job_state", "S"}, {"substate", "43"}}, JobState::kRunning, {}, "suspended"},
      {"exiting",
       {{"job_state", "E"}, {"substate", "51"}, {"Exit_status", "4"}},
       JobState::kRunning,
       {},
       "exiting"},
      {"failed start, tried again",
       {{"job_state", "E"}, {"substate", "63"}, {"Exit_status", "-3"}, {"run_count", "16"}},
       JobState::kRunning,
       {},
       "exiting"},
      {"array", {{"job_state", "B"}, {"substate", "70"}}, JobState::kRunning, {}, ""},
      {"finished",
       {{"job_state", "F"},
        {"substate", "92"},
        {"Exit_status", "0"},
        {"Stageout_status", "1"},
        {"comment", run + " and finished"}},
       JobState::kCompleted,
       0,
       "and finished"},
      {"finished, output lost",
       {{"job_state", "F"}, {"substate", "92"}, {"Exit_status", "0"}, {"Stageout_status", "0"}},
       JobState::kCompleted,
       0,
       "could not be delivered"},
      {"subjob",
       {{"job_state", "X"}, {"substate", "92"}, {"Exit_status", "0"}},
       JobState::kCompleted,
       0,
       ""},
      {"failed",
       {{"job_state", "F"}, {"substate", "93"}, {"Exit_status", "3"}},
       JobState::kFailed,
       3,
       "exit code 3"},
      {"killed itself",
       {{"job_state", "F"}, {"substate", "93"}, {"Exit_status", "137"}},
       JobState::kFailed,
       137,
       "137"},
      {"bad shell",
       {{"job_state", "F"}, {"substate", "93"}, {"Exit_status", "254"}},
       JobState::kFailed,
       254,
       "254"},
      {"deleted",
       {{"job_state", "F"},
        {"substate", "91"},
        {"Exit_status", "271"},
        {"comment", run + " and terminated by user1@pbs01"}},
       JobState::kCancelled,
       143,
       "signal 15"},
      {"deleted by force",
       {{"job_state", "F"}, {"substate", "91"}, {"Exit_status", "265"}},
       JobState::kCancelled,
       137,
       "signal 9"},
      {"deleted, trapped the signal",
       {{"job_state", "F"},
        {"substate", "91"},
        {"Exit_status", "0"},
        {"comment", run + " and terminated by user1@pbs01"}},
       JobState::kCancelled,
       0,
       "terminated by"},
      {"deleted while held after failed starts",
       {{"job_state", "F"}, {"substate", "91"}, {"Exit_status", "-3"}},
       JobState::kCancelled,
       {},
       "-3"},
      {"deleted before it ran",
       {{"job_state", "F"}, {"substate", "91"}, {"Hold_Types", "u"}},
       JobState::kCancelled,
       {},
       "never ran"},
      {"dependency failed",
       {{"job_state", "F"}, {"substate", "92"}},
       JobState::kCancelled,
       {},
       "never ran"},
      {"qdel not honoured at once",
       {{"job_state", "F"}, {"substate", "93"}, {"Exit_status", "265"}},
       JobState::kFailed,
       137,
       "signal 9"},
      {"walltime",
       {{"job_state", "F"},
        {"substate", "93"},
        {"Exit_status", "-29"},
        {"comment", run + " and exceeded resource walltime"}},
       JobState::kTimedOut,
       {},
       "exceeded resource walltime"},
      {"walltime of an older server",
       {{"job_state", "F"},
        {"substate", "93"},
        {"Exit_status", "271"},
        {"Resource_List.walltime", "00:00:04"},
        {"resources_used.walltime", "00:00:10"}},
       JobState::kTimedOut,
       143,
       "signal 15"},
      {"memory",
       {{"job_state", "F"}, {"substate", "93"}, {"Exit_status", "-27"}},
       JobState::kOutOfMemory,
       {},
       "-27"},
      {"mom restarted",
       {{"job_state", "F"}, {"substate", "93"}, {"Exit_status", "-4"}},
       JobState::kNodeFailed,
       {},
       "-4"},
      {"node lost, may not run again",
       {{"job_state", "F"}, {"substate", "93"}, {"Exit_status", "-20"}, {"comment", run}},
       JobState::kNodeFailed,
       {},
       "-20"},
      {"sister lost",
       {{"job_state", "F"}, {"substate", "93"}, {"Exit_status", "-14"}},
       JobState::kNodeFailed,
       {},
       "-14"},
      {"given up by a hook",
       {{"job_state", "F"}, {"substate", "93"}, {"Exit_status", "-18"}},
       JobState::kNodeFailed,
       {},
       "-18"},
      {"taken off its node",
       {{"job_state", "F"}, {"substate", "93"}, {"Exit_status", "-11"}},
       JobState::kPreempted,
       {},
       "-11"},
      {"requeued, held, and deleted",
       {{"job_state", "F"}, {"substate", "91"}, {"Exit_status", "-11"}},
       JobState::kCancelled,
       {},
       "-11"},
      {"preempted by deletion",
       {{"job_state", "F"},
        {"substate", "91"},
        {"Exit_status", "271"},
        {"comment", run + " and terminated by Scheduler@vm"}},
       JobState::kPreempted,
       143,
       "terminated by Scheduler@"},
      {"start failed",
       {{"job_state", "F"}, {"substate", "93"}, {"Exit_status", "-1"}},
       JobState::kFailed,
       {},
       "-1"},
      {"moved away", {{"job_state", "M"}}, JobState::kUnknown, {}, "moved"},
      {"a new state", {{"job_state", "Zz"}}, JobState::kUnknown, {}, "not a state"},
  };
  return cases;
}

TEST(PbsTextTest, StatesMeanWhatTheyWereRecordedFor) {
  for (const PbsStateCase& c : StateCases()) {
    const JobStatus status = PbsJobStatus("1.pbs01", c.attributes);
    EXPECT_EQ(status.state, c.state) << c.what;
    EXPECT_EQ(status.exit_code, c.exit_code) << c.what;
    EXPECT_THAT(status.message, HasSubstr(c.words)) << c.what;
    EXPECT_EQ(status.raw_state.substr(0, 1), c.attributes.at("job_state").substr(0, 1));
  }
}

TEST(PbsTextTest, TimesAndUsageAreOfTheLastIncarnation) {
  const JobStatus status = PbsJobStatus("1031.pbs01", {{"job_state", "F"},
                                                       {"substate", "92"},
                                                       {"Exit_status", "0"},
                                                       {"run_count", "2"},
                                                       {"ctime", "Sat Nov 21 04:58:01 2026"},
                                                       {"stime", "Sat Nov 21 04:58:06 2026"},
                                                       {"obittime", "Sat Nov 21 04:58:13 2026"},
                                                       {"resources_used.walltime", "00:00:06"},
                                                       {"Resource_List.nodect", "2"}});
  EXPECT_EQ(status.restarts, 1);
  EXPECT_EQ(status.submitted, ParsePbsTime("Sat Nov 21 04:58:01 2026"));
  EXPECT_EQ(status.started, ParsePbsTime("Sat Nov 21 04:58:06 2026"));
  EXPECT_EQ(status.ended, ParsePbsTime("Sat Nov 21 04:58:13 2026"));
  EXPECT_EQ(status.usage.elapsed, seconds(6));
  EXPECT_EQ(status.usage.nodes, 2);
}

TEST(PbsTextTest, ARequeuedJobThatRunsHasNoEnd) {
  const JobStatus status = PbsJobStatus("1031.pbs01", {{"job_state", "R"},
                                                       {"substate", "41"},
                                                       {"run_count", "2"},
                                                       {"obittime", "Sat Nov 21 04:58:05 2026"}});
  EXPECT_EQ(status.ended, std::nullopt);
  EXPECT_EQ(status.exit_code, std::nullopt);
  EXPECT_EQ(status.restarts, 1);
}

TEST(PbsTextTest, AJobThatWaitsAgainHasBeenPutBack) {
  const JobStatus status = PbsJobStatus("1007.vm", {{"job_state", "Q"},
                                                    {"substate", "10"},
                                                    {"run_count", "1"},
                                                    {"Exit_status", "-11"},
                                                    {"obittime", "Mon Nov 30 05:26:12 2026"}});
  EXPECT_EQ(status.restarts, 1);
  EXPECT_EQ(status.ended, ParsePbsTime("Mon Nov 30 05:26:12 2026"));  // of the run before
  EXPECT_EQ(status.started, std::nullopt);
  EXPECT_EQ(status.exit_code, std::nullopt);
  EXPECT_EQ(PbsJobStatus("1.vm", {{"job_state", "Q"}}).restarts, 0);
}

TEST(PbsTextTest, ASuspendedJobHoldsItsNodesAndStandsStill) {
  EXPECT_TRUE(PbsJobStatus("1.vm", {{"job_state", "S"}, {"substate", "43"}}).suspended);
  EXPECT_TRUE(PbsJobStatus("1.vm", {{"job_state", "U"}}).suspended);
  EXPECT_FALSE(PbsJobStatus("1.vm", {{"job_state", "R"}}).suspended);
}

TEST(PbsTextTest, AFullQueueIsNoRefusalForGood) {
  EXPECT_TRUE(IsQsubNotNow(38, "qsub: would exceed queue generic's per-user limit"));
  EXPECT_TRUE(IsQsubNotNow(173, "qsub: Queue is not enabled"));
  EXPECT_FALSE(IsQsubNotNow(170, "qsub: Unknown queue"));
  EXPECT_FALSE(IsQsubNotNow(162, "Connection refused"));
}

TEST(PbsTextTest, AJobThatNeverRanHasNoStart) {
  const JobStatus status = PbsJobStatus("15.pbs01", {{"job_state", "F"},
                                                     {"substate", "91"},
                                                     {"mtime", "Sat Nov 21 04:46:19 2026"},
                                                     {"history_timestamp", "1795236379"}});
  EXPECT_EQ(status.started, std::nullopt);
  EXPECT_EQ(status.ended, ParsePbsTime("Sat Nov 21 04:46:19 2026"));
}

TEST(PbsTextTest, MessagesAreBoundedAndOfOneLine) {
  const JobStatus status = PbsJobStatus(
      "1.pbs01",
      {{"job_state", "R"}, {"comment", std::string(100000, '\n')}, {"substate", "4\n2"}});
  EXPECT_LE(status.message.size(), kMaxJobMessageBytes);
  EXPECT_EQ(status.message.find('\n'), std::string::npos);
  EXPECT_EQ(status.raw_state.find('\n'), std::string::npos);
}

TEST(PbsTextTest, FindsTheIdInQsubsAnswer) {
  EXPECT_THAT(ParseQsubAnswer("1.pbs01\n"), ElementsAre("1.pbs01"));
  EXPECT_THAT(ParseQsubAnswer("1499.25\nWelcome to Polaris.\n349710.polaris-pbs-01.hsn.cm\n"),
              ElementsAre("349710.polaris-pbs-01.hsn.cm", "1499.25"));
  EXPECT_THAT(ParseQsubAnswer(""), IsEmpty());
  EXPECT_THAT(ParseQsubAnswer("ok\n"), IsEmpty());
}

TEST(PbsTextTest, RefusalsAreToldFromWhatMayPass) {
  const std::vector<std::pair<int, std::string>> refusals = {
      {170, "qsub: Unknown queue\n"},
      {174, "qsub: Access to queue is denied\n"},
      {188, "qsub: Job violates queue and/or server resource limits\n"},
      {187, "qsub: Unknown resource Resource_List.nosuchres\n"},
      {166, "qsub: Illegal attribute or resource value Resource_List.walltime\n"},
      {4, "qsub: Resource invalid in \"select\" specification: filesystems\n"},
      {7, "qsub: Cannot have \"place\" without \"select\"\n"},
      {32, "qsub: Account_Name is required to be set.\n"},
      {32, "qsub: Resource: filesystems is required to be set.\n"},
      {2, "qsub: illegal -N value\nusage: qsub [-a date_time]\n"},
      {1, "qsub: script contains cr, lf\n"},
      {1, "qsub: invalid option -- 'b'\nqsub: directive error: --bogus \n"},
      {175, "qsub: Bad UID for job execution\n"}};
  for (const auto& [status, err] : refusals) EXPECT_TRUE(IsQsubRefusal(status, err)) << err;
  const std::vector<std::pair<int, std::string>> passing = {
      {38, "qsub: would exceed queue generic's per-user limit\n"},
      {39, "qsub: would exceed limit on resource ncpus in queue debug\n"},
      {173, "qsub: Queue is not enabled\n"},
      {198, "qsub: Maximum number of jobs already in queue\n"},
      {162, "Connection refused\nqsub: cannot connect to server pbs01 (errno=15010)\n"},
      {160, "Unknown Host.\nqsub: cannot connect to server nosuchhost.example (errno=15008)\n"},
      {255, "Failed to recv data from background qsub\n"},
      {1, "qsub: something new\n"},
      {137, ""}};
  for (const auto& [status, err] : passing) EXPECT_FALSE(IsQsubRefusal(status, err)) << err;
}

JobSpec Spec() {
  JobSpec spec;
  spec.name = "c.r1.a.t1";
  spec.working_directory = "/eagle/work";
  spec.command = {"/bin/true"};
  spec.stdout_path = "/eagle/work/job.out";
  spec.stderr_path = "/eagle/work/job.err";
  return spec;
}

TEST(PbsTextTest, DirectivesSayAllThatASpecDoes) {
  JobSpec spec = Spec();
  spec.nodes = 2;
  spec.cpus = 32;
  spec.gpus = 4;
  spec.walltime = seconds(5400);
  spec.queue = "debug";
  spec.account = "data science";
  spec.directives = {"-l filesystems=home:eagle", "-l place=scatter", "-k doe\r"};
  EXPECT_THAT(
      *PbsDirectives(spec, true),
      ElementsAre("#PBS -N c.r1.a.t1", "#PBS -o /eagle/work/job.out", "#PBS -e /eagle/work/job.err",
                  "#PBS -r y", "#PBS -q debug", "#PBS -A \"data science\"",
                  "#PBS -l select=2:ncpus=32:ngpus=4", "#PBS -l walltime=01:30:00",
                  "#PBS -l filesystems=home:eagle", "#PBS -l place=scatter", "#PBS -k doe"));
}

TEST(PbsTextTest, TasksOfALauncherArePlacesForItsProcesses) {
  JobSpec spec = Spec();
  spec.nodes = 2;
  spec.cpus = 32;
  spec.tasks = 4;
  EXPECT_THAT(*PbsDirectives(spec, true),
              testing::Contains("#PBS -l select=2:ncpus=32:mpiprocs=4"));
}

TEST(PbsTextTest, TheSitesOwnSelectReplacesOurs) {
  JobSpec spec = Spec();
  spec.stderr_path = spec.stdout_path;
  spec.directives = {"-l select=1:system=polaris"};
  EXPECT_THAT(*PbsDirectives(spec, false),
              ElementsAre("#PBS -N c.r1.a.t1", "#PBS -o /eagle/work/job.out", "#PBS -j oe",
                          "#PBS -r n", "#PBS -l select=1:system=polaris"));
}

TEST(PbsTextTest, ValuesThatWouldBreakOutOfADirectiveAreRefused) {
  for (const std::string bad : {"/a\nrm -rf /", "/a\"b", "/a'b", "/a\\b", "/a\tb"}) {
    JobSpec spec = Spec();
    spec.stdout_path = bad;
    EXPECT_EQ(PbsDirectives(spec, true).status().code(), StatusCode::kInvalidArgument) << bad;
  }
  JobSpec spec = Spec();
  spec.directives = {"-l a\nrm -rf /"};
  EXPECT_EQ(PbsDirectives(spec, true).status().code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace tributary::scheduler_adapters

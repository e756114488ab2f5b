#include "scheduler_adapters/slurm_system.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "core/files.h"
#include "core/text.h"

namespace tributary::scheduler_adapters {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

// Programs of the test in the place of Slurm's, which note how they are called.
class SlurmSystemTest : public testing::Test {
 protected:
  void Program(const std::string& name, const std::string& script) {
    const std::string path = Path(name);
    const std::string text = "#!/bin/bash\ndir=" + directory_.path() + "\necho \"" + name +
                             " $*\" >> \"$dir/calls\"\n" + kRow + script + "\n";
    ASSERT_TRUE(WriteFileAtomic(path, text, 0700).ok());
  }
  std::string Path(const std::string& name) { return JoinPath(directory_.path(), name); }

  SlurmSystem& system() {
    if (!system_) {
      SchedulerOptions options;
      options.command_directory = directory_.path();
      options.command_timeout = timeout_;
      options.command_interval = std::chrono::milliseconds(0);
      options.directives = directives_;
      system_ = std::make_unique<SlurmSystem>(options);
    }
    return *system_;
  }
  Result<std::map<std::string, JobStatus>> List(const std::vector<std::string>& ids) {
    return system().List(ids);
  }
  std::string Calls() {
    const auto text = ReadFile(Path("calls"));
    return text.ok() ? *text : "";
  }
  int CallsOf(const std::string& name) {
    const std::string calls = "\n" + Calls();
    int count = 0;
    for (std::size_t at = calls.find("\n" + name + " "); at != std::string::npos;
         at = calls.find("\n" + name + " ", at + 1)) {
      ++count;
    }
    return count;
  }
  JobSpec Spec() {
    JobSpec spec;
    spec.name = "a-job";
    spec.working_directory = spec.stdout_path = spec.stderr_path = directory_.path();
    spec.command = {"/bin/true"};
    return spec;
  }

  // row ID STATE [NODES] [RESTARTS] [REASON] [NAME] [EXIT]: a line of squeue.
  const std::string kRow =
      "row() { printf "
      "'%-32s%-32s%-16s%-8s%-4s%-24s%-24s%-24s%-24s%-12s%-12s%-256s%-96s%-128s%-128s\\n' "
      "\"$1\" \"$2\" \"${7:-0}\" \"${4:-0}\" \"${3:-n1}\" 2026-11-21T10:00:00 "
      "2026-11-21T10:01:00 2026-11-21T10:02:00 1:00 1 2 cpu=2,node=1,gres/gpu=1 N/A "
      "\"${5:-None}\" \"${6:-job}\"; }\n";
  TemporaryDirectory directory_ = *TemporaryDirectory::Create("slurm-");
  seconds timeout_{20};
  std::vector<std::string> directives_;
  std::unique_ptr<SlurmSystem> system_;
};

constexpr char kControllerDown[] =
    "echo 'slurm_load_jobs error: Unable to contact slurm controller (connect failure)' >&2; "
    "exit 1";
constexpr char kUnknownJob[] = "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1";

TEST_F(SlurmSystemTest, SaysWhatSqueueSaysWithoutAskingSacct) {
  Program("squeue", "row 7 RUNNING; row 8 FAILED n1 0 NonZeroExitCode x 1792; row 9 RUNNING");
  Program("sacct", "echo '7|COMPLETED|0:0|2026-11-21T10:00:00|None|None|0|0|0||job'");
  const auto jobs = List({"7", "8"});
  ASSERT_TRUE(jobs.ok()) << jobs.status();
  ASSERT_THAT(*jobs, SizeIs(2));
  EXPECT_EQ(jobs->at("7").state, JobState::kRunning);
  EXPECT_EQ(jobs->at("7").usage.gpus, 1);
  EXPECT_EQ(jobs->at("8").exit_code, 7);
  EXPECT_EQ(CallsOf("sacct"), 0);
}

TEST_F(SlurmSystemTest, AsksSacctOnlyAboutWhatSqueueForgot) {
  Program("squeue", "row 7 RUNNING");
  Program("sacct",
          "echo '6|TIMEOUT|0:0|2026-11-21T10:00:00|2026-11-21T10:00:00|2026-11-21T10:01:00|60|1|2||"
          "job'");
  const auto jobs = List({"5", "6", "7"});
  ASSERT_TRUE(jobs.ok()) << jobs.status();
  EXPECT_EQ(jobs->at("6").state, JobState::kTimedOut);
  EXPECT_EQ(jobs->at("6").usage.elapsed, seconds(60));
  EXPECT_EQ(jobs->count("5"), 0U);  // nobody knows it
  EXPECT_THAT(Calls(), HasSubstr(" -j 5,6\n"));
}

TEST_F(SlurmSystemTest, NothingIsAskedAboutNoJobs) {
  EXPECT_THAT(*List({}), IsEmpty());
  EXPECT_EQ(Calls(), "");
}

TEST_F(SlurmSystemTest, RequeuedJobWaitsWhateverAccountingSays) {
  Program("squeue", "row 7 PENDING '' 1 BeginTime");
  Program("sacct", "echo '7|PREEMPTED|0:0|2026-11-21T10:00:00|None|None|9|1|1||job'");
  const auto jobs = List({"7"});
  EXPECT_EQ(jobs->at("7").state, JobState::kQueued);
  EXPECT_EQ(jobs->at("7").restarts, 1);
}

TEST_F(SlurmSystemTest, EndOfARequeuedJobCountsItsEarlierTime) {
  Program("squeue", "row 7 COMPLETED n1 1");
  const std::string earlier =
      "echo '7|PREEMPTED|0:0|2026-11-21T09:00:00|2026-11-21T09:00:00|2026-11-21T09:10:00|600|1|1||"
      "job'\n";
  Program("sacct", earlier);  // the last incarnation has not arrived yet
  EXPECT_EQ(List({"7"})->at("7").usage.elapsed, seconds(660));
  Program("sacct",
          earlier +
              "echo '7|COMPLETED|0:0|2026-11-21T10:00:00|2026-11-21T10:01:00|2026-11-21T10:02:00|"
              "60|1|1||job'");
  EXPECT_EQ(List({"7"})->at("7").usage.elapsed, seconds(660));
  Program("sacct", "exit 1");
  EXPECT_EQ(List({"7"})->at("7").usage.elapsed, seconds(60));
  EXPECT_EQ(List({"7"})->at("7").state, JobState::kCompleted);
}

TEST_F(SlurmSystemTest, AccountingThatLagsBehindEndsNothing) {
  Program("squeue", kUnknownJob);
  for (const std::string word : {"PENDING", "RUNNING", "REQUEUED"}) {
    Program("sacct", "echo '7|" + word + "|0:0|2026-11-21T10:00:00|None|None|0|1|1||allocation'");
    const auto jobs = List({"7"});
    ASSERT_TRUE(jobs.ok());
    EXPECT_THAT(*jobs, IsEmpty()) << word;
  }
}

TEST_F(SlurmSystemTest, ControllerThatIsDownSaysNothing) {
  Program("squeue", kControllerDown);
  Program("sacct", "echo '7|COMPLETED|0:0|2026-11-21T10:00:00|None|None|0|0|0||job'");
  const auto jobs = List({"7"});
  EXPECT_EQ(jobs.status().code(), StatusCode::kUnavailable);
  EXPECT_THAT(jobs.status().message(), HasSubstr("Unable to contact slurm controller"));
  EXPECT_EQ(system().FindByName("job", true).status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(system().ListLive("").status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(system().EstimateQueued("7").status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(CallsOf("sacct"), 0);
}

TEST_F(SlurmSystemTest, TableCutShortByATimeLimitSaysNothing) {
  timeout_ = seconds(1);
  Program("squeue", "row 7 COMPLETED; sleep 600");
  const auto jobs = List({"7", "8"});
  EXPECT_EQ(jobs.status().code(), StatusCode::kUnavailable);
}

TEST_F(SlurmSystemTest, MissingProgramsSayNothing) {
  EXPECT_EQ(List({"7"}).status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(system().SubmitScript(Spec(), "/job.sh").status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(system().CancelJob("7").code(), StatusCode::kUnavailable);
  EXPECT_EQ(system().Version().status().code(), StatusCode::kUnavailable);
}

TEST_F(SlurmSystemTest, DatabaseThatIsDownLeavesForgottenJobsUnknown) {
  Program("squeue", "row 7 RUNNING");
  Program("sacct",
          "echo 'sacct: error: Problem talking to the database: Connection refused' >&2; exit 1");
  const auto jobs = List({"6", "7"});
  ASSERT_TRUE(jobs.ok());
  EXPECT_EQ(jobs->at("6").state, JobState::kUnknown);
  EXPECT_THAT(jobs->at("6").message, HasSubstr("Connection refused"));
  EXPECT_EQ(jobs->at("7").state, JobState::kRunning);
  EXPECT_EQ(system().FindByName("job", true).status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(CallsOf("sacct"), 2);
  EXPECT_TRUE(List({"6"}).ok());
  EXPECT_EQ(CallsOf("sacct"), 3);  // it may come back
}

TEST_F(SlurmSystemTest, SiteWithoutAccountingIsAskedOnce) {
  Program("squeue", kUnknownJob);
  Program("sacct", "echo 'Slurm accounting storage is disabled' >&2; exit 1");
  EXPECT_THAT(*List({"7"}), IsEmpty());
  EXPECT_THAT(*List({"7"}), IsEmpty());
  EXPECT_THAT(*system().FindByName("job", true), IsEmpty());
  EXPECT_EQ(CallsOf("sacct"), 1);
}

TEST_F(SlurmSystemTest, SiteWithoutSacctIsASiteWithoutAccounting) {
  Program("squeue", "");
  EXPECT_THAT(*List({"7", "8"}), IsEmpty());
  EXPECT_THAT(*system().FindByName("job", true), IsEmpty());
}

TEST_F(SlurmSystemTest, FindsExactNamesOldestFirst) {
  Program("squeue",
          "row 100 RUNNING n1 0 None job; row 99 COMPLETED n1 0 None job; "
          "row 98 RUNNING n1 0 None job2");
  Program("sacct",
          "echo '9|COMPLETED|0:0|2026-11-21T10:00:00|None|None|0|0|0||job'; "
          "echo '99|COMPLETED|0:0|2026-11-21T10:00:00|None|None|0|0|0||job'; "
          "echo '97|COMPLETED|0:0|2026-11-21T10:00:00|None|None|0|0|0||jo'");
  const auto ids = system().FindByName("job", true);
  ASSERT_TRUE(ids.ok()) << ids.status();
  EXPECT_THAT(*ids, ElementsAre("9", "99", "100"));
}

TEST_F(SlurmSystemTest, ListsLiveJobsOfAPrefix) {
  Program("squeue",
          "row 1 RUNNING n1 0 None ours-a; row 2 COMPLETED n1 0 None ours-b; "
          "row 3 PENDING '' 0 JobHeldUser ours-c; row 4 RUNNING n1 0 None theirs; "
          "row 5 COMPLETING n1 0 None ours-d");
  const auto jobs = system().ListLive("ours-");
  ASSERT_TRUE(jobs.ok()) << jobs.status();
  std::vector<std::string> ids;
  for (const NamedJob& job : *jobs) ids.push_back(job.id);
  EXPECT_THAT(ids, ElementsAre("1", "3", "5"));
}

#ifdef TRIBUTARY_SANITIZED
constexpr bool kSanitized = true;  // keeps freed memory
#else
constexpr bool kSanitized = false;
#endif

long PeakKilobytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

TEST_F(SlurmSystemTest, TenThousandJobsAreReadInConstantMemory) {
  Program("squeue", "for ((i = 1; i <= 10000; ++i)); do row $i PENDING '' 0 Priority job$i; done");
  ASSERT_TRUE(List({"1"}).ok());  // what the first call costs for ever
  const long before = PeakKilobytes();
  std::vector<std::string> ids;
  for (int id = 300; id <= 900; ++id) ids.push_back(std::to_string(id));
  const auto jobs = List(ids);
  ASSERT_TRUE(jobs.ok()) << jobs.status();
  EXPECT_THAT(*jobs, SizeIs(ids.size()));
  EXPECT_THAT(*system().ListLive("job7777"), SizeIs(1));
  EXPECT_THAT(*system().ListLive(""), SizeIs(10'000));
  // The listing has 7 MB; 10,000 names with their ids take less than 2.
  EXPECT_LT(kSanitized ? 0 : PeakKilobytes() - before, 4096);
}

TEST_F(SlurmSystemTest, ManyIdsAreNotPutIntoOneCommand) {
  Program("squeue", "");
  Program("sacct", "");
  std::vector<std::string> ids;
  for (int id = 1; id <= 2500; ++id) ids.push_back(std::to_string(id));
  ASSERT_TRUE(List(ids).ok());
  EXPECT_EQ(CallsOf("squeue"), 1);
  EXPECT_EQ(CallsOf("sacct"), 3);
}

TEST_F(SlurmSystemTest, SubmitsAndReadsTheId) {
  Program("sbatch", "echo 42; echo 'Hours left:'; echo 2026");
  const auto ids = system().SubmitScript(Spec(), "/tmp/job.sh");
  ASSERT_TRUE(ids.ok()) << ids.status();
  EXPECT_THAT(*ids, ElementsAre("2026", "42"));
  EXPECT_EQ(Calls(), "sbatch --parsable /tmp/job.sh\n");
}

TEST_F(SlurmSystemTest, ANameIsAskedForAlone) {
  Program("squeue", "row 7 RUNNING n1 0 None first; row 8 PENDING '' 0 None second");
  EXPECT_EQ(*system().NameOf("8"), "second");
  EXPECT_THAT(Calls(), HasSubstr(" -j 8\n"));
  Program("squeue", kUnknownJob);
  EXPECT_EQ(*system().NameOf("8"), std::nullopt);
  Program("squeue", kControllerDown);
  EXPECT_EQ(system().NameOf("8").status().code(), StatusCode::kUnavailable);
}

// As squeue, sacct and scancel are: each sees one cluster.
TEST_F(SlurmSystemTest, JobsOfAChosenClusterAreAskedAboutThere) {
  directives_ = {"--qos=x", "--clusters=gpu"};
  Program("sbatch", "echo '42;gpu'");
  Program("squeue",
          "case \"$*\" in *'-M gpu'*) echo 'CLUSTER: gpu'; row 42 RUNNING n1 0 None here;; "
          "*'-M cpu'*) row 7 PENDING '' 0 None there;; *) " +
              std::string(kUnknownJob) + ";; esac");
  Program("sacct",
          "case \"$*\" in *'-M gpu'*) echo "
          "'6|TIMEOUT|0:0|2026-11-21T10:00:00|2026-11-21T10:00:00|2026-11-21T10:01:00|60|1|"
          "2||here';; esac");
  Program("scancel", "");
  Program("scontrol", "echo 'Slurmctld(primary) at ctl is UP'; echo slurm 23.02.7");
  JobSpec spec = Spec();
  spec.directives = directives_;
  EXPECT_THAT(*system().SubmitScript(spec, "/tmp/job.sh"), ElementsAre("42;gpu"));
  EXPECT_EQ(system().HeadFor(spec).job_id_suffix, ";gpu");
  EXPECT_TRUE(system().IsJobId("42;gpu"));
  const auto jobs = List({"42;gpu", "6;gpu", "7;cpu", "42"});
  ASSERT_TRUE(jobs.ok()) << jobs.status();
  EXPECT_THAT(*jobs, SizeIs(3));
  EXPECT_EQ(jobs->at("42;gpu").state, JobState::kRunning);
  EXPECT_EQ(jobs->at("42;gpu").id, "42;gpu");
  EXPECT_EQ(jobs->at("6;gpu").state, JobState::kTimedOut);
  EXPECT_EQ(jobs->at("7;cpu").state, JobState::kQueued);  // submitted before the choice changed
  EXPECT_EQ(*system().NameOf("42;gpu"), "here");
  EXPECT_THAT(*system().FindByName("here", true), ElementsAre("6;gpu", "42;gpu"));
  EXPECT_EQ(system().ListLive("he")->at(0).id, "42;gpu");
  EXPECT_TRUE(system().CancelJob("42;gpu").ok());
  EXPECT_THAT(Calls(), HasSubstr("scancel -M gpu 42\n"));
  EXPECT_TRUE(system().Version().ok());
  EXPECT_THAT(Calls(), HasSubstr("scontrol -M gpu ping\n"));
}

TEST_F(SlurmSystemTest, AClusterThatIsNotLookedAtIsRefused) {
  Program("sbatch", "echo '42;gpu'");
  JobSpec spec = Spec();
  spec.directives = {"-M gpu"};
  const Status elsewhere = system().SubmitScript(spec, "/tmp/job.sh").status();
  EXPECT_EQ(elsewhere.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(elsewhere.message(), HasSubstr("cluster \"gpu\""));
  system_.reset();
  directives_ = spec.directives = {"--clusters=gpu,cpu"};
  const Status several = system().CheckAccepted(spec, "/tmp/job.sh");
  EXPECT_EQ(several.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(several.message(), HasSubstr("must be the name of one cluster"));
  EXPECT_EQ(Calls(), "");
}

TEST_F(SlurmSystemTest, RefusalsKeepSbatchsWords) {
  Program(
      "sbatch",
      "echo 'sbatch: error: Batch job submission failed: Invalid partition name specified' >&2; "
      "exit 1");
  const Status refused = system().SubmitScript(Spec(), "/job.sh").status();
  EXPECT_EQ(refused.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(refused.message(), HasSubstr("Invalid partition name specified"));
  EXPECT_EQ(system().CheckAccepted(Spec(), "/job.sh").code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(system().EstimateNew(Spec(), "/job.sh").status().code(), StatusCode::kInvalidArgument);
  Program("sbatch", "echo 'sbatch: error: Invalid --time specification' >&2; exit 255");
  EXPECT_EQ(system().SubmitScript(Spec(), "/job.sh").status().code(), StatusCode::kInvalidArgument);
}

TEST_F(SlurmSystemTest, SubmissionsWithoutAnAnswerAreNeitherTakenNorRefused) {
  timeout_ = seconds(1);
  for (const std::string script :
       {"sleep 600", "exit 0", "kill -9 $$",
        "echo 'ssh: connect to host login1 port 22: No route to host' >&2; exit 255",
        "echo 'sbatch: error: Batch job submission failed: Socket timed out on send/recv operation'"
        " >&2; exit 1",
        "echo 'sbatch: error: what' >&2; exit 127"}) {
    Program("sbatch", script);
    EXPECT_EQ(system().SubmitScript(Spec(), "/job.sh").status().code(), StatusCode::kUnavailable)
        << script;
  }
}

TEST_F(SlurmSystemTest, AFullQueueIsARefusalForNow) {
  Program("sbatch",
          "echo 'sbatch: error: QOSMaxSubmitJobPerUserLimit' >&2; echo 'sbatch: error: Batch job "
          "submission failed: Job violates accounting/QOS policy (job submit limit, user size "
          "and/or time limits)' >&2; exit 1");
  const Status full = system().SubmitScript(Spec(), "/job.sh").status();
  EXPECT_EQ(full.code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(full.message(), HasSubstr("refused for now: sbatch: "));
}

TEST_F(SlurmSystemTest, ImpossibleTextsAreRefusedBeforeSbatch) {
  Program("sbatch", "echo 1");
  JobSpec newline = Spec();
  newline.working_directory += "\n#SBATCH --exclusive";
  JobSpec backslash = Spec();
  backslash.stdout_path = "/a\\b";
  JobSpec directive = Spec();
  directive.directives = {"--qos=a\nrm -r x"};
  for (const JobSpec& spec : {newline, backslash, directive}) {
    EXPECT_EQ(system().SubmitScript(spec, "/j").status().code(), StatusCode::kInvalidArgument);
    EXPECT_EQ(system().CheckAccepted(spec, "/j").code(), StatusCode::kInvalidArgument);
    EXPECT_EQ(system().EstimateNew(spec, "/j").status().code(), StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(Calls(), "");
}

TEST_F(SlurmSystemTest, EstimatesComeFromSqueueAndFromATest) {
  Program("squeue", "row 7 PENDING '' 0 Resources; row 8 RUNNING");
  EXPECT_EQ(*system().EstimateQueued("7"), ParseTimestamp("2026-11-21T10:01:00Z").value());
  EXPECT_EQ(*system().EstimateQueued("8"), std::nullopt);
  Program("sbatch",
          "echo 'sbatch: Job 9 to start at 2026-11-21T07:39:27 using 2 processors on nodes n[1-2] "
          "in partition debug' >&2");
  EXPECT_EQ(*system().EstimateNew(Spec(), "/j"), ParseTimestamp("2026-11-21T07:39:27Z").value());
  EXPECT_TRUE(system().CheckAccepted(Spec(), "/j").ok());
  EXPECT_THAT(Calls(), HasSubstr("sbatch --test-only /j\n"));
  Program("sbatch", "echo 'allocation failure: Requested nodes are busy' >&2; exit 1");
  const auto busy = system().EstimateNew(Spec(), "/j");
  ASSERT_TRUE(busy.ok()) << busy.status();
  EXPECT_EQ(*busy, std::nullopt);
  EXPECT_EQ(system().CheckAccepted(Spec(), "/j").code(), StatusCode::kResourceExhausted);
}

TEST_F(SlurmSystemTest, CancelAcceptsEndedJobs) {
  Program("scancel", "");
  EXPECT_TRUE(system().CancelJob("7").ok());
  EXPECT_EQ(Calls(), "scancel 7\n");
  Program("scancel",
          "echo 'scancel: error: Kill job error on job id 7: Job/step already completing or "
          "completed' >&2; exit 1");
  EXPECT_TRUE(system().CancelJob("7").ok());
  Program(
      "scancel",
      "echo 'scancel: error: Kill job error on job id 7: Invalid job id specified' >&2; exit 1");
  EXPECT_EQ(system().CancelJob("7").code(), StatusCode::kNotFound);
  Program("scancel",
          "echo 'scancel: error: Kill job error on job id 7: Unable to contact slurm controller "
          "(connect failure)' >&2; exit 8");
  EXPECT_EQ(system().CancelJob("7").code(), StatusCode::kUnavailable);
}

TEST_F(SlurmSystemTest, VersionProvesThatTheControllerAnswers) {
  const std::string version = "[ $1 = version ] && echo slurm-wlm 22.05.8 && exit 0\n";
  Program("scontrol", version + "echo 'Slurmctld(primary) at head1 is UP'");
  EXPECT_EQ(*system().Version(), "slurm 22.05.8");
  Program("scontrol", version + "echo 'Slurmctld(primary) at head1 is DOWN'; exit 1");
  EXPECT_EQ(system().Version().status().code(), StatusCode::kUnavailable);
}

TEST_F(SlurmSystemTest, IdsAreNumbers) {
  for (const std::string id : {"1", "123456789", "1;gpu"}) {
    EXPECT_TRUE(system().IsJobId(id)) << id;
  }
  for (const std::string id :
       {"", "0", "nobody", "1_2", "1;", "1;c d", "-1", "1 2", "../1", "12345678901234567"}) {
    EXPECT_FALSE(system().IsJobId(id)) << id;
  }
}

TEST_F(SlurmSystemTest, HeadSaysWhatTheSpecSays) {
  JobSpec spec = Spec();
  spec.working_directory = "/work/a b";
  spec.stdout_path = "/work/100%j.out";
  spec.stderr_path = "/work/job.err";
  spec.nodes = 2;
  spec.cpus = 8;
  spec.gpus = 4;
  spec.walltime = seconds(61);
  spec.warning_before = seconds(30);
  spec.queue = "gpu";
  spec.account = "chem";
  spec.directives = {"--time=5", "--constraint=a100"};
  const ScriptHead head = system().HeadFor(spec);
  EXPECT_EQ(head.job_id_variable, "SLURM_JOB_ID");
  EXPECT_FALSE(head.own_timer);
  EXPECT_THAT(head.opening, ElementsAre("unset SLURM_EXPORT_ENV",
                                        "export SRUN_CPUS_PER_TASK=\"${SLURM_CPUS_PER_TASK:-1}\""));
  EXPECT_THAT(
      head.directives,
      ElementsAre("#SBATCH --job-name=\"a-job\"", "#SBATCH --chdir=\"/work/a b\"",
                  "#SBATCH --output=\"/work/100%%j.out\"", "#SBATCH --error=\"/work/job.err\"",
                  "#SBATCH --open-mode=append", "#SBATCH --export=NONE", "#SBATCH --nodes=2",
                  "#SBATCH --ntasks-per-node=1", "#SBATCH --cpus-per-task=8",
                  "#SBATCH --gpus-per-node=4", "#SBATCH --time=2", "#SBATCH --signal=B:USR1@30",
                  "#SBATCH --partition=\"gpu\"", "#SBATCH --account=\"chem\"", "#SBATCH --requeue",
                  "#SBATCH --time=5", "#SBATCH --constraint=a100"));
}

TEST_F(SlurmSystemTest, TasksOfALauncherShareTheCpusOfANode) {
  JobSpec spec = Spec();
  spec.cpus = 9;
  spec.tasks = 4;
  const ScriptHead head = system().HeadFor(spec);
  EXPECT_THAT(head.directives,
              testing::IsSupersetOf({"#SBATCH --ntasks-per-node=4", "#SBATCH --cpus-per-task=2"}));
  EXPECT_EQ(head.job_id_suffix, "");
}

TEST_F(SlurmSystemTest, HeadLeavesToSlurmWhatTheSpecLeavesOpen) {
  SchedulerOptions options;
  options.requeue = false;
  const SlurmSystem strict(options);
  std::string text;
  for (const std::string& line : strict.HeadFor(Spec()).directives) text += line + "\n";
  for (const std::string option :
       {"--time", "--signal", "--partition", "--account", "--gpus", " --requeue"}) {
    EXPECT_EQ(text.find(option), std::string::npos) << option;
  }
  EXPECT_THAT(text, HasSubstr("--no-requeue"));
}

}  // namespace
}  // namespace tributary::scheduler_adapters

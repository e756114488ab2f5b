// PbsSystem over small scripts that answer as OpenPBS was seen to answer.
#include "scheduler_adapters/pbs_system.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pwd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "core/files.h"

namespace tributary::scheduler_adapters {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr std::string_view kEmpty =
    "{\n\t\"timestamp\":\t1795237513,\n\t\"pbs_version\":\t\"23.06.06\",\n"
    "\t\"pbs_server\":\t\"pbs01\"\n}\n";

std::string Me() { return getpwuid(geteuid())->pw_name; }

std::string Job(const std::string& id, const std::string& attributes) {
  return "\t\t\"" + id + "\":\t{\n\t\t\t" + attributes + "\n\t\t}";
}

std::string Listing(const std::vector<std::string>& jobs) {
  std::string text =
      "{\n\t\"timestamp\":\t1795236220,\n\t\"pbs_version\":\t\"23.06.06\",\n"
      "\t\"pbs_server\":\t\"pbs01\",\n\t\"Jobs\":\t{\n";
  for (std::size_t i = 0; i < jobs.size(); ++i) text += (i == 0 ? "" : ",\n") + jobs[i];
  return text + "\n\t}\n}\n";
}

std::string State(const std::string& id, const std::string& state) {
  return Job(id, "\"job_state\":\t\"" + state + "\"");
}

class PbsSystemTest : public testing::Test {
 protected:
  PbsSystemTest() {
    options_.command_directory = directory_.path();
    options_.command_interval = std::chrono::milliseconds(0);
    options_.command_timeout = std::chrono::seconds(20);
    spec_.name = "c.r1.a.t1";
    spec_.working_directory = directory_.path();
    spec_.command = {"/bin/true"};
    spec_.stdout_path = spec_.stderr_path = "/tmp/out";
  }

  // What a command does: a shell `case` over its arguments.
  void Command(const std::string& name, const std::string& cases) {
    const std::string script = "#!/bin/bash\ncd \"${0%/*}\"\necho \"" + name +
                               " $*\" >> calls\ncase \"$*\" in\n" + cases +
                               "\n*) echo \"unexpected: $*\" >&2; exit 99;;\nesac\n";
    ASSERT_TRUE(WriteFileAtomic(JoinPath(directory_.path(), name), script, 0700).ok());
  }
  void Text(const std::string& name, std::string_view text) {
    ASSERT_TRUE(WriteFileAtomic(JoinPath(directory_.path(), name), text).ok());
  }
  std::vector<std::string> Calls() {
    std::vector<std::string> calls;
    std::string text = *ReadFile(JoinPath(directory_.path(), "calls"));
    for (std::size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n')) {
      calls.push_back(text.substr(0, end));
      text.erase(0, end + 1);
    }
    EXPECT_TRUE(RemoveFile(JoinPath(directory_.path(), "calls")).ok());
    return calls;
  }
  PbsSystem& system() {
    if (!system_) system_ = std::make_unique<PbsSystem>(options_);
    return *system_;
  }
  Result<std::map<std::string, JobStatus>> List(const std::vector<std::string>& ids) {
    return system().List(ids);
  }

  TemporaryDirectory directory_ = *TemporaryDirectory::Create("pbs");
  SchedulerOptions options_;
  JobSpec spec_;

 private:
  std::unique_ptr<PbsSystem> system_;
};

TEST_F(PbsSystemTest, TheValidEmptyListingOfADeadServerTeachesNothing) {
  Text("empty", kEmpty);
  const std::string down =
      "cat empty; echo 'Connection refused' >&2;"
      " echo 'qstat: cannot connect to server pbs01 (errno=15010)' >&2; exit 255;;";
  Command("qstat", "*) " + down);
  for (const std::vector<std::string>& ids :
       {std::vector<std::string>{"1.pbs01"}, {"1.pbs01", "2.pbs01"}}) {
    const auto said = List(ids);
    EXPECT_EQ(said.status().code(), StatusCode::kUnavailable);
    EXPECT_THAT(said.status().message(), HasSubstr("cannot connect to server"));
  }
  EXPECT_EQ(system().ListLive("").status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(system().EstimateQueued("1.pbs01").status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(system().Version().status().code(), StatusCode::kUnavailable);
}

TEST_F(PbsSystemTest, OnlyAQuestionForOneIdProvesThatThereIsNoJob) {
  Text("two", Listing({State("1.pbs01", "R"), State("3.pbs01", "Q")}));
  Text("empty", kEmpty);
  Command(
      "qstat",
      "'-f -F json -x 1.pbs01 2.pbs01 3.pbs01 4.pbs01') cat two; exit 153;;\n"
      "'-f -F json -x 2.pbs01') cat empty; echo 'qstat: Unknown Job Id 2.pbs01' >&2; exit 153;;\n"
      "'-f -F json -x 4.pbs01') cat empty;;\n"  // hidden, with a good exit status
      "'-f -x -w 4.pbs01'|'-x -f -w 4.pbs01') ;;");
  const auto said = List({"1.pbs01", "2.pbs01", "3.pbs01", "4.pbs01"});
  ASSERT_TRUE(said.ok()) << said.status();
  EXPECT_EQ(said->at("1.pbs01").state, JobState::kRunning);
  EXPECT_FALSE(said->contains("2.pbs01"));
  EXPECT_EQ(said->at("3.pbs01").state, JobState::kQueued);
  EXPECT_EQ(said->at("4.pbs01").state, JobState::kUnknown);
}

TEST_F(PbsSystemTest, AQstatThatAnswersForTheFirstIdOnlyIsFoundOut) {
  Text("one", Listing({State("1.pbs01", "R")}));
  Text("two", Listing({State("2.pbs01", "Q")}));
  Text("all", Listing({State("1.pbs01", "R"), State("2.pbs01", "R"), State("3.pbs01", "R"),
                       State("4.pbs01", "Q"), State("99.pbs01", "F")}));
  Command("qstat",
          "'-f -F json -x 1.pbs01 2.pbs01') cat one;;\n"
          "'-f -F json -x 2.pbs01') cat two;;\n"
          "'-f -F json') cat all;;");
  EXPECT_EQ(List({"1.pbs01", "2.pbs01"})->at("2.pbs01").state, JobState::kQueued);
  EXPECT_EQ(Calls().size(), 2u);
  const auto said = List({"1.pbs01", "2.pbs01", "3.pbs01", "4.pbs01"});
  EXPECT_EQ(said->size(), 4u);
  EXPECT_EQ(said->at("4.pbs01").state, JobState::kQueued);
  EXPECT_THAT(Calls(), ElementsAre("qstat -f -F json"));
}

TEST_F(PbsSystemTest, AnEndIsNotTakenFromAmongTheWordsOfOthers) {
  std::vector<std::string> ids;
  for (int i = 1; i <= 101; ++i) ids.push_back(std::to_string(i) + ".pbs01");
  Text("all", Listing({State("1.pbs01", "F"), State("2.pbs01", "R"), State("3.pbs01", "Q"),
                       State("3.pbs01", "H")}));
  Text("empty", kEmpty);
  Command("qstat", "'-f -F json') cat all;;\n*) cat empty; exit 153;;");
  const auto said = List(ids);
  ASSERT_TRUE(said.ok());
  EXPECT_FALSE(said->contains("1.pbs01"));  // asked alone, where 153 was the answer
  EXPECT_EQ(said->at("2.pbs01").state, JobState::kRunning);
  EXPECT_FALSE(said->contains("3.pbs01"));  // likewise: somebody says so, twice
}

TEST_F(PbsSystemTest, AnIdThatPbsWillNotReadDoesNotHideTheOthers) {
  Text("one", Listing({State("1.pbs01", "R")}));
  Command("qstat",
          "'-f -F json -x 1.pbs01') cat one;;\n"
          "*) echo 'qstat: illegally formed job identifier: 2.otherserver' >&2; exit 1;;");
  const auto said = List({"2.otherserver", "1.pbs01"});
  ASSERT_TRUE(said.ok()) << said.status();
  EXPECT_EQ(said->at("1.pbs01").state, JobState::kRunning);
  EXPECT_EQ(said->at("2.otherserver").state, JobState::kUnknown);
  EXPECT_THAT(said->at("2.otherserver").message, HasSubstr("illegally formed"));
}

TEST_F(PbsSystemTest, AJobWhoseJsonCannotBeReadIsAskedForAsText) {
  Text("json", Listing({Job("1.pbs01", "\"Job_Name\" nonsense"), State("2.pbs01", "Q")}));
  Text("text", "Job Id: 1.pbs01\n    Job_Name = x\n    job_state = R\n    substate = 42\n\n");
  Command("qstat", "*json*) cat json;;\n'-x -f -w 1.pbs01'|'-f -x -w 1.pbs01') cat text;;\n");
  const auto said = List({"1.pbs01", "2.pbs01"});
  ASSERT_TRUE(said.ok()) << said.status();
  EXPECT_EQ(said->at("1.pbs01").raw_state, "R/42");
  EXPECT_EQ(said->at("2.pbs01").state, JobState::kQueued);
}

TEST_F(PbsSystemTest, AServerWithoutHistoryIsAskedForLiveJobs) {
  Text("one", Listing({State("1.pbs01", "R")}));
  Text("empty", kEmpty);
  Command("qstat",
          "*-x*) echo 'qstat: PBS is not configured to maintain job history' >&2; exit 36;;\n"
          "'-f -F json 1.pbs01') cat one;;\n"
          "'-f -F json 2.pbs01') cat empty; exit 153;;");
  Command("qselect",
          "*-x*) echo 'qselect: PBS is not configured to maintain job history' >&2; exit 36;;\n"
          "*) echo 7.pbs01;;");
  EXPECT_EQ(List({"1.pbs01"})->at("1.pbs01").state, JobState::kRunning);
  EXPECT_EQ(Calls().size(), 2u);
  EXPECT_FALSE(List({"2.pbs01"})->contains("2.pbs01"));
  EXPECT_THAT(Calls(), ElementsAre("qstat -f -F json 2.pbs01"));
  EXPECT_THAT(*system().FindByName("n", true), ElementsAre("7.pbs01"));
}

TEST_F(PbsSystemTest, AHistoryThatIsKeptSinceLatelyIsAskedFor) {
  Text("ended", Listing({Job("1.pbs01", "\"job_state\":\t\"F\",\n\"Exit_status\":\t3")}));
  Text("empty", kEmpty);
  Command(
      "qstat",
      "*-x*) if [ -e kept ]; then cat ended; else exit 36; fi;;\n"
      "*) cat empty; echo 'qstat: 1.pbs01 Job has finished, use -x or -H to obtain historical job"
      " information' >&2; exit 35;;");
  EXPECT_EQ(List({"1.pbs01"}).status().code(), StatusCode::kUnavailable);
  Text("kept", "");
  EXPECT_EQ(List({"1.pbs01"})->at("1.pbs01").exit_code, 3);
}

TEST_F(PbsSystemTest, AFrozenServerStopsTheQuestions) {
  options_.command_timeout = std::chrono::seconds(1);
  Text("one", Listing({State("1.pbs01", "R")}));
  Command("qstat", "'-f -F json -x 1.pbs01 2.pbs01 3.pbs01') cat one;;\n*) sleep 60;;");
  const auto said = List({"1.pbs01", "2.pbs01", "3.pbs01"});
  ASSERT_TRUE(said.ok());
  EXPECT_EQ(said->at("1.pbs01").state, JobState::kRunning);
  EXPECT_EQ(said->at("2.pbs01").state, JobState::kUnknown);
  EXPECT_THAT(said->at("3.pbs01").message, HasSubstr("time limit"));
  EXPECT_EQ(Calls().size(), 2u);
}

TEST_F(PbsSystemTest, NothingIsTakenFromADamagedListing) {
  std::vector<std::string> ids;
  for (int i = 1; i <= 101; ++i) ids.push_back(std::to_string(i) + ".pbs01");
  std::string all = Listing({Job("500.pbs01", "\"X\": \"no end,\n\"job_state\":\t\"Q\""),
                             State("1.pbs01", "X"), State("2.pbs01", "R")});
  Text("all", all);
  Text("empty", kEmpty);
  Command("qstat", "'-f -F json'|'-f -F json -x') cat all;;\n*) cat empty; exit 153;;");
  const auto said = List(ids);
  ASSERT_TRUE(said.ok());
  EXPECT_FALSE(said->contains("1.pbs01"));  // asked alone, where 153 was the answer
  EXPECT_FALSE(said->contains("2.pbs01"));
}

TEST_F(PbsSystemTest, TenThousandJobsAreListedInOneQueryAndLittleMemory) {
  Command("qstat",
          R"('-f -F json') awk 'BEGIN {
  printf "{\n\t\"timestamp\":\t1795236220,\n\t\"Jobs\":\t{\n";
  for (i = 0; i < 2000; ++i) filler = filler "x";
  for (i = 1; i <= 10000; ++i)
    printf "%s\t\t\"%d.pbs01\":\t{\n\t\t\t\"job_state\":\t\"Q\",\n\t\t\t\"X\":\t\"%s\"\n\t\t}",
           (i > 1 ? ",\n" : ""), i, filler;
  print "\n\t}\n}" }';;)");
  std::vector<std::string> ids;
  for (int i = 1; i <= 10000; i += 10) ids.push_back(std::to_string(i) + ".pbs01");
  rusage before, after;
  getrusage(RUSAGE_SELF, &before);
  const auto said = List(ids);
  getrusage(RUSAGE_SELF, &after);
  ASSERT_TRUE(said.ok()) << said.status();
  EXPECT_EQ(said->size(), 1000u);
  EXPECT_EQ(said->at("9991.pbs01").state, JobState::kQueued);
  EXPECT_EQ(Calls().size(), 1u);
#ifndef TRIBUTARY_SANITIZED  // a sanitizer keeps freed memory
  EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 8 * 1024) << "kB for a listing of 20 MB";
#endif
}

TEST_F(PbsSystemTest, LiveJobsAreThisUsersByTheirNames) {
  const auto job = [](const std::string& id, const std::string& name, const std::string& owner) {
    return Job(id, "\"Job_Name\":\t\"" + name + "\",\n\"Job_Owner\":\t\"" + owner +
                       "@pbs01\",\n\"job_state\":\t\"Q\"");
  };
  Text("1.pbs01", Listing({job("1.pbs01", "c.r1", Me())}));
  Text("2.pbs01", Listing({job("2.pbs01", "d.r1", Me())}));
  Text("3.pbs01", Listing({job("3.pbs01", "c.r2", "somebody")}));  // since qselect was asked
  Text("4.pbs01", Listing({Job("4.pbs01", "\"bad")}));
  Text("text", "Job Id: 4.pbs01\n    Job_Name = c.r9\n    Job_Owner = " + Me() +
                   "@pbs01\n    job_state = Q\n\n");
  Command("qselect", "'-u " + Me() + "') printf '%s.pbs01\\n' 1 2 3 4;;");
  Command("qstat", "*-w*) cat text;;\n'-f -F json '*) cat \"${@: -1}\";;");
  const auto named = [&](const std::string& prefix) {
    const auto jobs = system().ListLive(prefix);
    EXPECT_TRUE(jobs.ok()) << jobs.status();
    std::vector<std::string> lines;
    for (const NamedJob& live : *jobs) lines.push_back(live.id + " " + live.name);
    return lines;
  };
  EXPECT_THAT(named("c."), ElementsAre("1.pbs01 c.r1", "4.pbs01 c.r9"));

  // Many at once are read in one listing of all, whose damage makes it worth nothing.
  Command("qselect", "'-u " + Me() + "') seq 1 40 | sed 's/$/.pbs01/';;");
  std::vector<std::string> all = {job("99.pbs01", "c.r1", "somebody")};
  for (int i = 1; i <= 40; ++i) {
    all.push_back(job(std::to_string(i) + ".pbs01", "c.r" + std::to_string(i), Me()));
  }
  Text("all", Listing(all));
  Command("qstat", "'-f -F json') cat all;;\n*) cat 1.pbs01 | sed \"s/1.pbs01/${@: -1}/\";;");
  (void)Calls();
  EXPECT_EQ(named("c.").size(), 40u);
  EXPECT_THAT(Calls(), ElementsAre("qselect -u " + Me(), "qstat -f -F json"));
  all.push_back("\"x");
  Text("all", Listing(all));
  EXPECT_EQ(named("c.r1").size(), 40u);  // as each says for itself
  EXPECT_EQ(Calls().size(), 42u);
}

TEST_F(PbsSystemTest, AJobsNameIsItsOwnersWordAndAskedForAlone) {
  const std::string mine =
      "\"Job_Name\":\t\"c.r1\",\n\"Job_Owner\":\t\"" + Me() + "@pbs01\",\n\"job_state\":\t\"R\"";
  Text("1.pbs01", Listing({Job("1.pbs01", mine)}));
  Text("2.pbs01", Listing({Job("2.pbs01",
                               "\"Job_Name\":\t\"c.r1\",\n\"Job_Owner\":\t\"other@pbs01\",\n"
                               "\"job_state\":\t\"R\",\n\"Mail_Users\":\t{\n\"2.pbs01\":\t{" +
                                   mine + "}}")}));
  Text("empty", kEmpty);
  Command("qstat", "*3.pbs01) cat empty; exit 153;;\n'-f -F json '*) cat \"${@: -1}\";;");
  EXPECT_EQ(*system().NameOf("1.pbs01"), "c.r1");
  EXPECT_EQ(*system().NameOf("2.pbs01"), std::nullopt);
  EXPECT_EQ(*system().NameOf("3.pbs01"), std::nullopt);
  Command("qstat", "*) cat empty; exit 255;;");
  EXPECT_EQ(system().NameOf("1.pbs01").status().code(), StatusCode::kUnavailable);
}

TEST_F(PbsSystemTest, JobsAreFoundByNameTheOldestFirst) {
  Command("qselect", "*) printf '1000.pbs01\\n99.pbs01\\n';;");
  EXPECT_THAT(*system().FindByName("c.r1", true), ElementsAre("99.pbs01", "1000.pbs01"));
  EXPECT_THAT(*system().FindByName("c.r1", false), ElementsAre("99.pbs01", "1000.pbs01"));
  EXPECT_THAT(Calls(),
              ElementsAre("qselect -N c.r1 -u " + Me() + " -x", "qselect -N c.r1 -u " + Me()));
  Command("qselect", "*) echo 'Connection refused' >&2; exit 162;;");
  EXPECT_EQ(system().FindByName("c.r1", true).status().code(), StatusCode::kUnavailable);
}

TEST_F(PbsSystemTest, BehindAPrefixItsUserCounts) {
  const std::string there = JoinPath(directory_.path(), "there");
  ASSERT_TRUE(WriteFileAtomic(there,
                              "#!/bin/bash\nif [ \"$1\" = id ]; then echo Welcome.; echo theirs; "
                              "else exec \"$@\"; fi\n",
                              0700)
                  .ok());
  options_.command_prefix = {there};
  Command("qselect", "*) ;;");
  EXPECT_TRUE(system().FindByName("c.r1", true)->empty());
  EXPECT_THAT(Calls(), ElementsAre("qselect -N c.r1 -u theirs -x"));
}

TEST_F(PbsSystemTest, BehindAPrefixThatRunsPbsAloneTheUserIsNotKnown) {
  const std::string there = JoinPath(directory_.path(), "there");
  ASSERT_TRUE(WriteFileAtomic(there,
                              "#!/bin/bash\n[ \"$1\" != id ] && exec \"$@\"\n"
                              "echo 'command not allowed: id'\n",
                              0700)
                  .ok());
  options_.command_prefix = {there};
  Command("qselect", "*) ;;");
  EXPECT_TRUE(system().FindByName("c.r1", true)->empty());
  EXPECT_THAT(Calls(), ElementsAre("qselect -N c.r1 -x"));
}

TEST_F(PbsSystemTest, SubmissionsAreAnsweredRefusedOrOpen) {
  Command("qsub", "*) echo 1.pbs01;;");
  EXPECT_THAT(*system().SubmitScript(spec_, "/tmp/job.sh"), ElementsAre("1.pbs01"));
  EXPECT_THAT(Calls(), ElementsAre("qsub /tmp/job.sh"));
  Command("qsub", "*) echo 'qsub: Unknown queue' >&2; exit 170;;");
  const Status refused = system().SubmitScript(spec_, "/tmp/job.sh").status();
  EXPECT_EQ(refused.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(refused.message(), HasSubstr("Unknown queue"));
  Command("qsub", "*) echo \"qsub: would exceed queue generic's per-user limit\" >&2; exit 38;;");
  EXPECT_EQ(system().SubmitScript(spec_, "/tmp/j").status().code(), StatusCode::kResourceExhausted);
  Command("qsub", "*) ;;");  // no id
  EXPECT_EQ(system().SubmitScript(spec_, "/tmp/j").status().code(), StatusCode::kUnavailable);
}

TEST_F(PbsSystemTest, AQsubWithoutAnAnswerLeavesItOpen) {
  options_.command_timeout = std::chrono::seconds(1);
  Command("qsub", "*) sleep 60;;");
  EXPECT_EQ(system().SubmitScript(spec_, "/tmp/j").status().code(), StatusCode::kUnavailable);
}

TEST_F(PbsSystemTest, ASpecThatNoDirectiveCanHoldIsNotSubmitted) {
  Command("qsub", "*) echo 1.pbs01;;");
  spec_.queue = "debug\nrm -rf /";
  EXPECT_EQ(system().SubmitScript(spec_, "/tmp/j").status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(system().CheckAccepted(spec_, "/tmp/j").code(), StatusCode::kInvalidArgument);
  EXPECT_TRUE(system().HeadFor(spec_).directives.empty());
  EXPECT_FALSE(PathExists(JoinPath(directory_.path(), "calls")));
}

TEST_F(PbsSystemTest, CancellingNamesOneJobAndUnderstandsTheAnswers) {
  Command("qdel",
          "1.x) ;;\n2.x) echo 'qdel: Job has finished 2.x' >&2; exit 35;;\n"
          "3.x) echo 'qdel: Request invalid for state of job 3.x' >&2; exit 168;;\n"
          "4.x) echo 'qdel: Unknown Job Id 4.x' >&2; exit 153;;\n"
          "5.x) echo 'qdel: Unauthorized Request  5.x' >&2; exit 159;;\n"
          "6.x) echo \"Couldn't connect to cluster: pbs01\" >&2; exit 162;;");
  for (const std::string id : {"1.x", "2.x", "3.x"}) {
    EXPECT_TRUE(system().CancelJob(id).ok()) << id;
  }
  EXPECT_EQ(system().CancelJob("4.x").code(), StatusCode::kNotFound);
  EXPECT_EQ(system().CancelJob("5.x").code(), StatusCode::kUnavailable);
  EXPECT_EQ(system().CancelJob("6.x").code(), StatusCode::kUnavailable);
}

TEST_F(PbsSystemTest, ACheckLeavesNoJobBehind) {
  Command("qsub", "*) echo 9.pbs01;;");
  Command("qselect", "*) printf '8.pbs01\\n9.pbs01\\n';;");  // 8: of a check that was cut off
  Command("qdel", "*) ;;");
  Text("check", Listing({Job("N.pbs01", "\"Job_Name\":\t\"c.r1.a.t1.check\",\n\"Job_Owner\":\t\"" +
                                            Me() + "@pbs01\",\n\"job_state\":\t\"H\"")}));
  Command("qstat", "*) sed \"s/N.pbs01/${@: -1}/\" check;;");
  EXPECT_TRUE(system().CheckAccepted(spec_, "/tmp/check.sh").ok());
  EXPECT_THAT(Calls(),
              ElementsAre("qsub -h -N c.r1.a.t1.check /tmp/check.sh",
                          "qselect -N c.r1.a.t1.check -u " + Me(), "qstat -f -F json 8.pbs01",
                          "qdel 8.pbs01", "qstat -f -F json 9.pbs01", "qdel 9.pbs01",
                          "qstat -B -f"));  // which queue it would be, to see that it is started
  Command("qdel", "*) exit 162;;");
  EXPECT_THAT(system().CheckAccepted(spec_, "/tmp/check.sh").message(), HasSubstr("stays on hold"));
  Command("qsub",
          "*) echo 'qsub: Job violates queue and/or server resource limits' >&2; exit 188;;");
  const Status refused = system().CheckAccepted(spec_, "/tmp/check.sh");
  EXPECT_EQ(refused.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(refused.message(), HasSubstr("resource limits"));
}

TEST_F(PbsSystemTest, EstimatesAreTheSchedulersForQueuedJobs) {
  Text("one", Listing({Job("1.pbs01",
                           "\"job_state\":\t\"Q\",\n\"estimated\":\t{\n\"start_time\":\t"
                           "\"Sat Nov 21 05:07:26 2026\"\n}")}));
  Text("run", Listing({Job("2.pbs01",
                           "\"job_state\":\t\"R\",\n\"estimated\":\t{\n\"start_time\":\t"
                           "\"Sat Nov 21 05:07:26 2026\"\n}")}));
  Text("top", Listing({State("3.pbs01", "Q")}));
  Text("empty", kEmpty);
  Command(
      "qstat",
      "*1.pbs01) cat one;;\n*2.pbs01) cat run;;\n*3.pbs01) cat top;;\n*) cat empty; exit 153;;");
  EXPECT_EQ(**system().EstimateQueued("1.pbs01"), TimestampFromMicros(1'795'237'646'000'000));
  EXPECT_EQ(*system().EstimateQueued("2.pbs01"), std::nullopt);
  EXPECT_EQ(*system().EstimateQueued("3.pbs01"), std::nullopt);
  EXPECT_EQ(system().EstimateQueued("4.pbs01").status().code(), StatusCode::kNotFound);
  EXPECT_EQ(*system().EstimateNew(spec_, "/tmp/j"), std::nullopt);
}

TEST_F(PbsSystemTest, TheVersionIsTheServers) {
  Command("qstat",
          "'-B -f') printf 'Server: pbs01\\n    server_state = Active\\n    pbs_version = "
          "23.06.06\\n\\n';;"
          "\n--version) echo 'pbs_version = 22.05.11';;");
  EXPECT_EQ(*system().Version(), "pbs 23.06.06");
  Command("qstat",
          "'-B -f') printf 'Server: pbs01\\n    server_state = Active\\n\\n';;"
          "\n--version) echo 'pbs_version = 22.05.11';;");
  EXPECT_EQ(*system().Version(), "pbs 22.05.11");
}

TEST_F(PbsSystemTest, CommandsThatAreNotThereAreUnavailable) {
  EXPECT_EQ(List({"1.pbs01"}).status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(system().SubmitScript(spec_, "/tmp/j").status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(system().Version().status().code(), StatusCode::kUnavailable);
}

}  // namespace
}  // namespace tributary::scheduler_adapters

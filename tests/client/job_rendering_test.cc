#include "client/job_rendering.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <set>

#include "core/clock.h"
#include "core/files.h"
#include "security/pki.h"

namespace tributary::client {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;

JobRequest Request() {
  return {"trib-1.chem.r1", "/work/chem/chem.r1", TaskKind::kTrain,
          seconds(600),     "/work/chem/state",   {"/models/base", "/data/train.jsonl"}};
}

JobSection Section() {
  JobSection job;
  job.trainer = {"/opt/trainer", "--quiet"};
  return job;
}

TEST(JobRenderingTest, AJobIsWhatTheSiteConfigured) {
  JobSection job = Section();
  job.environment = {{"HOME", "/home/a"}};
  job.queue = "gpu";
  job.account = "chem";
  job.directives = {"--constraint=gpu"};
  job.cpus = 4;
  job.gpus = 2;
  job.nodes = 3;
  const auto spec = MakeJob(job, Request());
  EXPECT_THAT(spec.command,
              ElementsAre("/opt/trainer", "--quiet", "train", "--task", "/work/chem/chem.r1"));
  EXPECT_EQ(spec.name, "trib-1.chem.r1");
  EXPECT_EQ(spec.working_directory, "/work/chem/chem.r1");
  auto environment = job.environment;
  environment["TRIBUTARY_GPUS"] = "2";  // on each node: a trainer that finds none says so
  EXPECT_EQ(spec.environment, environment);
  job.environment["TRIBUTARY_GPUS"] = "0";
  EXPECT_EQ(MakeJob(job, Request()).environment, job.environment) << "the site's own word stands";
  EXPECT_EQ(MakeJob(Section(), Request()).environment.at("TRIBUTARY_GPUS"), "0");
  EXPECT_EQ(spec.stderr_path, "/work/chem/chem.r1/job.err");
  EXPECT_EQ(spec.queue, "gpu");
  EXPECT_EQ(spec.account, "chem");
  EXPECT_EQ(spec.directives, job.directives);
  EXPECT_EQ(spec.cpus, 4);
  EXPECT_EQ(spec.gpus, 2);
  EXPECT_EQ(spec.nodes, 3);
  EXPECT_EQ(spec.walltime, seconds(600));
  EXPECT_EQ(spec.warning_before, seconds(30));
  EXPECT_TRUE(spec.prologue.empty());
  EXPECT_TRUE(scheduler_adapters::CheckJobSpec(spec).ok());
}

TEST(JobRenderingTest, NoWarningInAWalltimeThatIsShorter) {
  JobRequest request = Request();
  request.walltime = seconds(20);
  EXPECT_EQ(MakeJob(Section(), request).warning_before, seconds(0));
}

TEST(JobRenderingTest, AnEvaluationIsSaidToTheTrainer) {
  JobRequest request = Request();
  request.kind = TaskKind::kEvaluate;
  EXPECT_EQ(MakeJob(Section(), request).command[2], "evaluate");
}

TEST(JobRenderingTest, ModulesComeBeforeTheSitesOwnLines) {
  JobSection job = Section();
  job.modules = {"conda/2024", "evil; rm"};
  job.setup = {"conda activate base"};
  EXPECT_THAT(
      MakeJob(job, Request()).prologue,
      ElementsAre("load_module conda/2024", "load_module 'evil; rm'", "conda activate base"));
}

// srun kills its tasks on SIGTERM; SIGUSR1 it hands on, as mpiexec and mpirun do.
TEST(JobRenderingTest, WhereALauncherStandsBetweenTheWarningIsOneThatItHandsOn) {
  JobSection job = Section();
  EXPECT_EQ(MakeJob(job, Request()).warning_signal, SIGTERM);
  job.launcher = {"srun", "--ntasks-per-node=4"};
  job.cpus = 8;
  EXPECT_EQ(MakeJob(job, Request()).warning_signal, SIGUSR1);
  EXPECT_EQ(MakeJob(job, Request()).tasks, 4);
  EXPECT_EQ(MakeJob(job, Request()).cpus, 8);
}

TEST(JobRenderingTest, NamesTellTheFederation) {
  const auto directory = TemporaryDirectory::Create("names-");
  ClientConfig config;
  config.server = "fed.example.org:8443";
  config.tls.ca = directory->path() + "/ca.crt";
  const std::string none = JobNamePrefix(config, "a");
  std::set<std::string> prefixes = {none, OldJobNamePrefix(config, "a")};
  for (int provision = 0; provision < 2; ++provision) {  // again, on the same address
    const auto authority = security::CreateCertificateAuthority(
        "fed", security::ValidFrom(SystemClock().Now(), std::chrono::hours(1)));
    ASSERT_TRUE(authority.ok()) << authority.status();
    ASSERT_TRUE(WriteFileAtomic(config.tls.ca, authority->certificate_pem).ok());
    prefixes.insert(JobNamePrefix(config, "a"));
    EXPECT_EQ(JobNamePrefix(config, "a"), JobNamePrefix(config, "a"));
  }
  EXPECT_EQ(prefixes.size(), 4u);
}

TEST(JobRenderingTest, NamesHaveNoCharacterThatSchedulersRefuse) {
  const std::string name = JobName("trib-12345678.", "chem@2.r1.site-1.t1", 1);
  EXPECT_EQ(
      name.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-"),
      name.npos)
      << name;
}

TEST(JobRenderingTest, LauncherThenContainerThenTrainer) {
  JobSection job = Section();
  job.launcher = {"srun", "--ntasks-per-node=1"};
  job.container.emplace();
  job.container->image = "/images/trainer.sif";
  job.container->command = {"apptainer", "exec", "--nv"};
  job.container->binds = {"/scratch"};
  EXPECT_THAT(MakeJob(job, Request()).command,
              ElementsAre("/usr/bin/env", "srun", "--ntasks-per-node=1", "apptainer", "exec",
                          "--nv", "--bind", "/scratch", "--bind", "/work/chem/chem.r1", "--bind",
                          "/work/chem/state", "--bind", "/models/base:/models/base:ro", "--bind",
                          "/data/train.jsonl:/data/train.jsonl:ro", "/images/trainer.sif",
                          "/opt/trainer", "--quiet", "train", "--task", "/work/chem/chem.r1"));
}

TEST(JobRenderingTest, NamesAreShortUniqueAndStable) {
  std::set<std::string> names;
  const std::string campaign(63, 'c');
  for (const char* site : {"a", "b"}) {
    const std::string prefix = JobNamePrefix({}, site);
    for (int round = 0; round < 50; ++round) {
      for (const int attempt : {1, 2, 100}) {
        const std::string task = campaign + ".r" + std::to_string(round) + ".a.t1";
        const std::string name = JobName(prefix, task, attempt);
        EXPECT_LE(name.size(), scheduler_adapters::kMaxJobNameBytes);
        EXPECT_TRUE(name.starts_with(prefix));
        EXPECT_EQ(JobName(prefix, task, attempt), name);
        names.insert(name);
      }
    }
  }
  EXPECT_EQ(names.size(), 300u);
}

TEST(JobRenderingTest, ASampleNeedsNothingButTheFile) {
  ClientConfig config;
  config.job = Section();
  config.workspace = "/work";
  EXPECT_TRUE(scheduler_adapters::CheckJobSpec(SampleJob(config, "train")).ok());
  EXPECT_EQ(SampleJob(config, "evaluate").command[2], "evaluate");
}

}  // namespace
}  // namespace tributary::client

// `tributary-client doctor` as a person runs it: beside a daemon, with the real server, and with
// what may be wrong.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <nlohmann/json.hpp>

#include "core/json.h"
#include "core/safetensors.h"
#include "scheduler_adapters/command_runner.h"
#include "security/key_file.h"
#include "security/pki.h"
#include "tests/integration/federation_harness.h"
#include "tests/integration/pbs_harness.h"
#include "tests/integration/slurm_cluster.h"

namespace tributary::integration {
namespace {

using scheduler_adapters::CommandResult;
using scheduler_adapters::CommandRunner;
using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kClient = TRIBUTARY_BIN_DIR "/tributary-client";

// Forwards what follows a CONNECT, and writes its own port into a file.
constexpr const char* kProxy = R"python(
import os, select, socket, sys, threading
listener = socket.create_server(("127.0.0.1", 0))
with open(sys.argv[1] + ".part", "w") as file:
    file.write(str(listener.getsockname()[1]))
os.rename(sys.argv[1] + ".part", sys.argv[1])
def serve(inner):
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += inner.recv(1)
    host, port = head.split()[1].decode().rsplit(":", 1)
    open(sys.argv[1] + ".used", "a").write("x")
    if len(sys.argv) > 2:
        inner.sendall(b"HTTP/1.1 403 Forbidden\r\n\r\n")
        return
    outer = socket.create_connection((host, int(port)))
    inner.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        for ready in select.select([inner, outer], [], [])[0]:
            data = ready.recv(65536)
            if not data:
                outer.close()
                inner.close()
                return
            (outer if ready is inner else inner).sendall(data)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
)python";

class DoctorTest : public testing::Test {
 protected:
  void Start(const SiteSetup& setup = {}) {
    auto started = FederationHarness::Start({setup});
    ASSERT_TRUE(started.ok()) << started.status();
    harness_ = *std::move(started);
    HostTensor tensor{{"w", DType::kF32, {2}}, {}};
    tensor.bytes.resize(tensor.spec.ByteCount());
    ASSERT_TRUE(MakeDirectories(Path("model")).ok());
    ASSERT_TRUE(WriteFileAtomic(Path("model/config.json"), R"({"model_type": "llama"})").ok());
    ASSERT_TRUE(WriteSafetensors(Path("model/model.safetensors"), {tensor}).ok());
    ASSERT_TRUE(WriteFileAtomic(Path("train.jsonl"), "{\"text\": \"a\"}\n").ok());
    std::string yaml = *ReadFile(harness_->SiteHome("site-0") + "/client.yaml");
    Replace(&yaml, "models: {none: " + harness_->SiteHome("site-0") + "/none}",
            "models: {base: " + Path("model") + "}");
    Replace(&yaml, "data: {none: " + harness_->SiteHome("site-0") + "/none.jsonl}",
            "data: {train: " + Path("train.jsonl") + "}");
    Replace(&yaml, "policy:\n", "policy:\n  max_update: 1MiB\n");
    SetConfig(yaml);
  }

  std::string Path(const std::string& name) const { return harness_->directory() + "/" + name; }
  // Beside the daemon's own: relative paths mean the same.
  std::string ConfigPath() const { return harness_->SiteHome("site-0") + "/doctor.yaml"; }
  void SetConfig(const std::string& yaml) { ASSERT_TRUE(WriteFileAtomic(ConfigPath(), yaml).ok()); }
  void Edit(const std::string& what, const std::string& with) {
    std::string yaml = *ReadFile(ConfigPath());
    Replace(&yaml, what, with);
    SetConfig(yaml);
  }
  static void Replace(std::string* text, const std::string& what, const std::string& with) {
    const std::size_t at = text->find(what);
    ASSERT_NE(at, text->npos) << what;
    text->replace(at, what.size(), with);
  }

  CommandResult Doctor(const std::vector<std::string>& options = {},
                       const std::vector<std::string>& variables = {}) const {
    std::vector<std::string> command = {"/usr/bin/env", "-u", "https_proxy", "-u", "http_proxy"};
    command.insert(command.end(), variables.begin(), variables.end());
    command.insert(command.end(), {kClient, "doctor", "--config", ConfigPath()});
    command.insert(command.end(), options.begin(), options.end());
    CommandRunner runner({.timeout = std::chrono::seconds(100)});
    const auto result = runner.Run(command);
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? *result : CommandResult{};
  }

  int TimesConnected() const {
    const auto log = ReadFile(harness_->ServerLog());
    int times = 0;
    for (std::size_t at = 0; log.ok() && (at = log->find("site connected", at)) != log->npos;
         ++at) {
      ++times;
    }
    return times;
  }
  ChildProcess StartProxy(const std::vector<std::string>& options = {}) const {
    (void)RemoveFile(Path("proxy"));
    std::vector<std::string> command = {"/usr/bin/env", "python3", "-c", kProxy, Path("proxy")};
    command.insert(command.end(), options.begin(), options.end());
    auto proxy = ChildProcess::Start(command, Path("proxy.log"));
    EXPECT_TRUE(proxy.ok() && WaitFor([&] { return PathExists(Path("proxy")); }));
    return *std::move(proxy);
  }

  std::unique_ptr<FederationHarness> harness_;
};

TEST_F(DoctorTest, NothingFailsAtAHealthySiteWhoseDaemonRuns) {
  Start();
  ASSERT_TRUE(
      WaitFor([&] { return PathExists(harness_->SiteHome("site-0") + "/state/client.db"); }));
  ASSERT_TRUE(WaitFor([&] { return TimesConnected() == 1; }));
  const CommandResult result = Doctor({"--job"});
  EXPECT_EQ(result.exit_status, 0) << result.out << result.err;
  EXPECT_THAT(
      result.out,
      AllOf(HasSubstr("ok       configuration"), ContainsRegex("state_dir .*the daemon, process"),
            ContainsRegex("ok +workspace .*mode 0700"), ContainsRegex("ok +model base .*1 tensors"),
            ContainsRegex("ok +certificate +site site-0 of test"),
            ContainsRegex("ok +server TLS .*valid for 364 days"),
            ContainsRegex("ok +server +accepts this site's certificate"),
            ContainsRegex("ok +clock +0.0 s"), ContainsRegex("ok +trainer +constant_trainer 1")));
  EXPECT_THAT(result.out, AllOf(ContainsRegex("ok +job .*wrote into the workspace"),
                                ContainsRegex("ok +scheduler +local"), HasSubstr(" 0 failed")));
  // The daemon has not noticed.
  EXPECT_EQ(TimesConnected(), 1);
  const auto left = ListDirectory(harness_->SiteHome("site-0") + "/work");
  EXPECT_TRUE(left.ok() && left->empty());
  ASSERT_TRUE(harness_->Submit(harness_->Campaign("allowed", 1)).ok());
  EXPECT_EQ(harness_->AwaitEnd("allowed")->phase(), "completed");
}

TEST_F(DoctorTest, JsonHoldsTheSame) {
  Start();
  const CommandResult result = Doctor({"--json"});
  EXPECT_EQ(result.exit_status, 0) << result.out;
  const auto all = ParseJson(result.out, "output");
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_EQ((*all)["failed"], 0);
  EXPECT_EQ((*all)["checks"][0]["name"], "configuration");
  EXPECT_EQ((*all)["checks"][0]["outcome"], "ok");
}

TEST_F(DoctorTest, AServerThatIsDownFailsAndTheRestIsStillSaid) {
  Start();
  harness_->KillServer();
  const CommandResult result = Doctor();
  EXPECT_EQ(result.exit_status, 1);
  EXPECT_THAT(result.out, AllOf(ContainsRegex("FAILED +server TCP .*refused"),
                                ContainsRegex("skipped +server +it is not reached"),
                                ContainsRegex("ok +trainer"), ContainsRegex("ok +queue"),
                                HasSubstr(" 1 failed")));
}

TEST_F(DoctorTest, ACertificateThatEndsSoonIsAWarning) {
  Start();
  const std::string home = harness_->SiteHome("site-0");
  const security::CertificateAuthority authority{*ReadFile(Path("server/ca.crt")),
                                                 *security::ReadKeyFile(Path("server/ca.key"))};
  const auto key = security::ReadKeyFile(home + "/member.key");
  ASSERT_TRUE(key.ok());
  const auto identity = security::CertificateIdentity(*ReadFile(home + "/member.crt"));
  const auto certificate = security::IssueMemberCertificate(
      authority, *security::MakeCertificateRequest(*key), *identity,
      security::ValidFrom(SystemClock().Now(), std::chrono::days(10)));
  ASSERT_TRUE(certificate.ok()) << certificate.status();
  ASSERT_TRUE(WriteFileAtomic(home + "/member.crt", *certificate).ok());
  const CommandResult result = Doctor();
  EXPECT_EQ(result.exit_status, 0) << result.out;
  EXPECT_THAT(result.out, ContainsRegex("warning  certificate .*valid for 9 days"));
}

TEST_F(DoctorTest, AnotherFederationsServerIsNotTrusted) {
  Start();
  const auto other = security::CreateCertificateAuthority(
      "other", security::ValidFrom(SystemClock().Now(), std::chrono::days(100)));
  ASSERT_TRUE(
      WriteFileAtomic(harness_->SiteHome("site-0") + "/ca.crt", other->certificate_pem).ok());
  const CommandResult result = Doctor();
  EXPECT_EQ(result.exit_status, 1);
  EXPECT_THAT(result.out, ContainsRegex("FAILED +server TLS .*presents the authority SHA256:"));
}

TEST_F(DoctorTest, AProxyIsUsedAsTheDaemonWouldUseIt) {
  Start();
  std::string url;
  {
    const ChildProcess proxy = StartProxy();
    url = "http://127.0.0.1:" + *ReadFile(Path("proxy"));
    const CommandResult result = Doctor({}, {"https_proxy=" + url});
    EXPECT_EQ(result.exit_status, 0) << result.out;
    EXPECT_THAT(result.out,
                AllOf(ContainsRegex("ok +proxy .*, from https_proxy"),
                      ContainsRegex("ok +server TCP .*it connects to 127.0.0.1"),
                      ContainsRegex("ok +server TLS"), ContainsRegex("ok +server +acc")));
    EXPECT_EQ(FileSize(Path("proxy.used")).value(), 2U);  // the probe, and gRPC
    const CommandResult direct = Doctor({}, {"https_proxy=" + url, "no_proxy=.0.0.1"});
    EXPECT_THAT(direct.out, HasSubstr("none: \".0.0.1\" of no_proxy"));
    EXPECT_EQ(FileSize(Path("proxy.used")).value(), 2U);
  }
  const ChildProcess strict = StartProxy({"refuses"});
  url = "http://127.0.0.1:" + *ReadFile(Path("proxy"));
  const CommandResult result = Doctor({}, {"https_proxy=" + url});
  EXPECT_EQ(result.exit_status, 1);
  EXPECT_THAT(result.out, ContainsRegex("FAILED +server TCP .*refuses .*403 Forbidden"));
}

class DoctorPbsTest : public DoctorTest {
 protected:
  void StartPbs() {
    SiteSetup setup;
    setup.scheduler =
        "{adapter: pbs, command_interval: 0ms, command_directory: " + pbs_.BinDirectory() + "}";
    setup.job = "  poll_interval: 50ms\n  queue: debug\n";
    Start(setup);
  }
  scheduler_adapters::PbsStandIn pbs_;
};

TEST_F(DoctorPbsTest, AQueueThatIsNotThereFails) {
  StartPbs();
  const CommandResult good = Doctor({"--job"});
  EXPECT_EQ(good.exit_status, 0) << good.out;
  EXPECT_THAT(good.out,
              AllOf(ContainsRegex("ok +scheduler +pbs 23"), ContainsRegex("ok +queue +queue debug"),
                    ContainsRegex("ok +job .*wrote into the workspace"),
                    ContainsRegex("warning  workspace place +.*of this machine")));
  Edit("queue: debug", "queue: nosuch");
  const CommandResult bad = Doctor({"--job"});
  EXPECT_EQ(bad.exit_status, 1);
  EXPECT_THAT(bad.out, AllOf(ContainsRegex("FAILED +queue .*Unknown queue"),
                             HasSubstr("-> correct job.queue, job.account"),
                             ContainsRegex("skipped +job +the scheduler would not run it")));
  pbs_.Control(R"({"down": true})");
  const CommandResult down = Doctor();
  EXPECT_EQ(down.exit_status, 1);
  EXPECT_THAT(down.out, ContainsRegex("FAILED +scheduler"));
  pbs_.Control("{}");
  EXPECT_TRUE(pbs_.Run({"qselect"}).empty());
}

TEST_F(DoctorPbsTest, WhatIsTakenAndNeverRunIsNotOk) {
  StartPbs();
  Edit("queue: debug", "queue: stopped");
  EXPECT_THAT(Doctor().out, ContainsRegex("FAILED +queue .*is stopped and runs none"));
  Edit("queue: stopped", "queue: debug\n  cpus: 65");
  EXPECT_THAT(Doctor().out, ContainsRegex("FAILED +queue .*0 of 4 nodes have 65 cpus"));
  Edit("cpus: 65", "cpus: 64\n  gpus: 5");
  EXPECT_THAT(Doctor().out, ContainsRegex("FAILED +queue .*64 cpus and 5 gpus"));
  Edit("gpus: 5", "gpus: 4\n  nodes: 2");
  EXPECT_THAT(Doctor().out, ContainsRegex("ok +queue +queue debug"));
  EXPECT_TRUE(pbs_.Run({"qselect"}).empty());
}

// Its commands have a minute each.
TEST_F(DoctorPbsTest, ADaemonEndsSoonAlsoWhileItsSchedulerHangs) {
  StartPbs();
  harness_->KillClient("site-0");
  pbs_.Control(R"({"hang": ["qstat", "qsub", "qdel", "qselect"]})");
  (void)pbs_.Calls();
  auto daemon = ChildProcess::Start(
      {kClient, "run", "--config", harness_->SiteHome("site-0") + "/client.yaml"},
      Path("daemon.out"));
  ASSERT_TRUE(daemon.ok());
  ASSERT_TRUE(WaitFor([&] { return !pbs_.Calls().empty(); }));
  const auto told = std::chrono::steady_clock::now();
  kill(daemon->pid(), SIGTERM);
  EXPECT_TRUE(WaitFor([&] { return daemon->Poll().has_value(); }));
  EXPECT_EQ(daemon->Poll(), 0);
  EXPECT_LT(std::chrono::steady_clock::now() - told, std::chrono::seconds(15));
  pbs_.Control("{}");
}

TEST_F(DoctorPbsTest, AnInterruptedJobIsCancelled) {
  StartPbs();
  pbs_.Control(R"({"no_nodes": true})");
  const std::string output = Path("doctor.out");
  auto doctor = ChildProcess::Start({kClient, "doctor", "--job", "--config", ConfigPath()}, output);
  ASSERT_TRUE(doctor.ok());
  ASSERT_TRUE(WaitFor([&] {
    const auto said = ReadFile(output);
    return said.ok() && said->find(" queued") != said->npos;
  }));
  EXPECT_EQ(pbs_.Run({"qselect"}).size(), 1U);
  kill(doctor->pid(), SIGINT);
  EXPECT_TRUE(WaitFor([&] { return doctor->Poll().has_value(); }));
  EXPECT_EQ(doctor->Poll(), 1);
  EXPECT_THAT(*ReadFile(output), HasSubstr("interrupted; cancelled"));
  EXPECT_TRUE(pbs_.Run({"qselect"}).empty());
}

TEST_F(DoctorPbsTest, AJobThatWaitsTooLongIsCancelled) {
  StartPbs();
  pbs_.Control(R"({"no_nodes": true})");
  const CommandResult result = Doctor({"--job", "--job-limit", "1"});
  EXPECT_EQ(result.exit_status, 0) << result.out;
  EXPECT_THAT(result.out, ContainsRegex("warning  job .*queued.*no end within 1 s; cancelled"));
  EXPECT_TRUE(pbs_.Run({"qselect"}).empty());
}

TEST_F(DoctorTest, ARealSlurmTakesTheJobOrSaysWhyNot) {
  const std::string missing = SlurmCluster::MissingPrograms(false);
  if (!missing.empty()) GTEST_SKIP() << "no Slurm here: " << missing;
  const auto cluster = SlurmCluster::Start({});
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  SiteSetup setup;
  setup.scheduler = "{adapter: slurm, command_interval: 20ms}";
  setup.job = "  poll_interval: 300ms\n  queue: debug\n  launcher: [srun, --export=ALL]\n";
  Start(setup);
  const CommandResult good = Doctor({"--gpu"});
  EXPECT_THAT(good.out, AllOf(ContainsRegex("ok +scheduler +slurm 2"),
                              ContainsRegex("ok +queue +queue debug"),
                              ContainsRegex("ok +job .*wrote into the workspace"),
                              ContainsRegex("(FAILED|ok) +GPU ")));
  Edit("queue: debug", "queue: nosuch");
  const CommandResult bad = Doctor({"--job"});
  EXPECT_EQ(bad.exit_status, 1);
  EXPECT_THAT(bad.out, AllOf(ContainsRegex("FAILED +queue .*invalid partition"),
                             ContainsRegex("skipped +job")));
  const auto jobs = (*cluster)->Command({"squeue", "-h", "-t", "pending,running"});
  EXPECT_TRUE(jobs.ok() && jobs->empty()) << *jobs;
}

}  // namespace
}  // namespace tributary::integration

// `tributary-client init` as the first command at a new site, with the schedulers whose queues it
// reads, up to the doctor that it ends with.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/client_config.h"
#include "core/safetensors.h"
#include "scheduler_adapters/command_runner.h"
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

class InitTest : public testing::Test {
 protected:
  void SetUp() override {
    auto started = FederationHarness::Start(1);
    ASSERT_TRUE(started.ok()) << started.status();
    harness_ = *std::move(started);
    HostTensor tensor{{"w", DType::kF32, {2}}, {}};
    tensor.bytes.resize(tensor.spec.ByteCount());
    ASSERT_TRUE(MakeDirectories(Path("model")).ok());
    ASSERT_TRUE(WriteFileAtomic(Path("model/config.json"), R"({"model_type": "llama"})").ok());
    ASSERT_TRUE(WriteSafetensors(Path("model/model.safetensors"), {tensor}).ok());
    ASSERT_TRUE(WriteFileAtomic(Path("train.jsonl"), "{\"text\": \"a\"}\n").ok());
  }

  std::string Path(const std::string& name) const { return harness_->directory() + "/" + name; }

  // With a fresh token, what the policy of a site needs, and these options.
  CommandResult Init(const std::string& name, const std::vector<std::string>& options) {
    const auto token = harness_->NewToken("site", name, 600);
    EXPECT_TRUE(token.ok() && WriteFileAtomic(Path("token"), *token).ok());
    std::vector<std::string> command = {TRIBUTARY_BIN_DIR "/tributary-client",
                                        "init",
                                        "--dir",
                                        Path(name),
                                        "--server",
                                        harness_->address(),
                                        "--ca-fingerprint",
                                        harness_->ca_fingerprint(),
                                        "--token-file",
                                        Path("token"),
                                        "--model",
                                        "base=" + Path("model"),
                                        "--data",
                                        "train=" + Path("train.jsonl"),
                                        "--campaign",
                                        "allowed",
                                        "--lead",
                                        "lead"};
    command.insert(command.end(), options.begin(), options.end());
    command.insert(command.end(), {"--", TRIBUTARY_BIN_DIR "/../tests/constant_trainer"});
    CommandRunner runner({.timeout = std::chrono::seconds(100)});
    const auto result = runner.Run(command);
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? *result : CommandResult{};
  }

  std::unique_ptr<FederationHarness> harness_;
};

TEST_F(InitTest, ASiteWithoutASchedulerIsReadyAfterOneCommand) {
  const CommandResult made = Init("new", {"--scheduler", "local", "--cpus", "1"});
  EXPECT_EQ(made.exit_status, 0) << made.out << made.err;
  EXPECT_THAT(made.out, AllOf(HasSubstr("wrote " + Path("new/client.yaml")),
                              HasSubstr("joined federation"), HasSubstr(", 0 failed,")));
  // Its daemon connects as it stands.
  auto daemon = ChildProcess::Start(
      {TRIBUTARY_BIN_DIR "/tributary-client", "run", "--config", Path("new/client.yaml")},
      Path("new/log"));
  ASSERT_TRUE(daemon.ok());
  EXPECT_TRUE(WaitFor([&] {
    const auto log = ReadFile(Path("new/log"));
    return log.ok() && log->find("connected") != log->npos;
  }));
  const CommandResult again = Init("new", {"--scheduler", "local"});
  EXPECT_EQ(again.exit_status, 1);
  EXPECT_THAT(again.err, HasSubstr("--replace"));
}

TEST_F(InitTest, AFederationThatDoesNotTakeTheSiteLeavesItsFile) {
  ASSERT_TRUE(MakeDirectories(Path("new")).ok());
  (void)Init("other", {"--scheduler", "local", "--no-doctor"});  // uses the token up
  CommandRunner runner({.timeout = std::chrono::seconds(60)});
  const auto refused =
      runner.Run({TRIBUTARY_BIN_DIR "/tributary-client", "init", "--dir", Path("new"), "--server",
                  harness_->address(), "--ca-fingerprint", harness_->ca_fingerprint(),
                  "--token-file", Path("token"), "--scheduler", "local", "--", "/bin/true"});
  ASSERT_TRUE(refused.ok());
  EXPECT_EQ(refused->exit_status, 1);
  EXPECT_THAT(refused->err, HasSubstr("client.yaml is written, but not enrolled"));
  EXPECT_TRUE(client::LoadClientConfig(Path("new/client.yaml")).ok());
}

TEST_F(InitTest, QueuesOfPbsAreRead) {
  scheduler_adapters::PbsStandIn pbs;
  const CommandResult made =
      Init("new", {"--command-directory", pbs.BinDirectory(), "--queue", "debug"});
  EXPECT_EQ(made.exit_status, 0) << made.out << made.err;
  EXPECT_THAT(made.out, ContainsRegex("ok +queue +queue debug"));
  const auto config = client::LoadClientConfig(Path("new/client.yaml"));
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->scheduler.adapter, "pbs");
  EXPECT_EQ(config->job.cpus, 64);
  EXPECT_EQ(config->job.gpus, 4);
  const CommandResult unknown =
      Init("newer", {"--command-directory", pbs.BinDirectory(), "--queue", "nosuch"});
  EXPECT_EQ(unknown.exit_status, 1);
  EXPECT_THAT(unknown.err, HasSubstr("there is no queue \"nosuch\"; there are workq, "));
}

TEST_F(InitTest, PartitionsOfARealSlurmAreRead) {
  const std::string missing = SlurmCluster::MissingPrograms(false);
  if (!missing.empty()) GTEST_SKIP() << "no Slurm here: " << missing;
  const auto cluster = SlurmCluster::Start({});
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  const CommandResult made = Init("new", {});
  EXPECT_EQ(made.exit_status, 0) << made.out << made.err;
  EXPECT_THAT(made.out, AllOf(ContainsRegex("ok +scheduler +slurm 2"),
                              ContainsRegex("ok +queue +queue debug")));
  const auto config = client::LoadClientConfig(Path("new/client.yaml"));
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->job.queue, "debug");
  EXPECT_EQ(config->job.cpus, 8);
  EXPECT_EQ(config->policy->max_walltime, std::chrono::hours(1));
}

}  // namespace
}  // namespace tributary::integration

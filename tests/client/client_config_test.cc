#include "client/client_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/test_files.h"

namespace tributary::client {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class ClientConfigTest : public testing::Test {
 protected:
  Result<ClientConfig> Load(const std::string& text) {
    EXPECT_TRUE(WriteFileAtomic(directory_ / "client.yaml", text).ok());
    return LoadClientConfig(directory_ / "client.yaml");
  }

  const TestDirectory directory_;
};

constexpr const char* kMinimal =
    "server: fed.example.org:7443\n"
    "job: {trainer: [/opt/bin/tributary-trainer]}\n";

TEST_F(ClientConfigTest, AMinimalFileHasNoPolicyAtAll) {
  const auto config = Load(kMinimal);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_FALSE(config->policy);
  EXPECT_EQ(config->tls.key, directory_ / "member.key");
  EXPECT_EQ(config->state_dir, directory_ / "state");
  EXPECT_EQ(config->workspace, directory_ / "work");
  EXPECT_EQ(config->scheduler.adapter, "local");
  EXPECT_EQ(config->scheduler.state_directory, directory_ / "state/jobs");
  EXPECT_EQ(config->job.poll_interval, std::chrono::milliseconds(20));
  EXPECT_EQ(config->log.file, "");
}

TEST_F(ClientConfigTest, RelativePathsAreThoseOfTheFile) {
  const auto config = Load(std::string(kMinimal) +
                           "tls: {ca: pki/ca.crt, key: /etc/tributary/key}\n"
                           "workspace: /scratch/work\n"
                           "log: {file: client.log}\n"
                           "policy:\n"
                           "  campaigns: ['*']\n"
                           "  leads: [lena]\n"
                           "  models: {base: models/base}\n"
                           "  data: {notes: /data/notes.jsonl}\n");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->tls.ca, directory_ / "pki/ca.crt");
  EXPECT_EQ(config->tls.key, "/etc/tributary/key");
  EXPECT_EQ(config->workspace, "/scratch/work");
  EXPECT_EQ(config->log.file, directory_ / "client.log");
  ASSERT_TRUE(config->policy);
  EXPECT_EQ(config->policy->models.at("base"), directory_ / "models/base");
  EXPECT_EQ(config->policy->data.at("notes"), "/data/notes.jsonl");
  EXPECT_THAT(config->policy->metrics, ElementsAre("loss/*", "perplexity/*"));
}

TEST_F(ClientConfigTest, ReportsEveryProblem) {
  const Status status = Load(
                            "server: fed.example.org:1\n"
                            "job: {trainer: [], cpus: 0}\n"
                            "policy: {campaings: [x]}\n")
                            .status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  for (const char* part :
       {"client.yaml:2: job.trainer", "client.yaml:2: job.cpus", "client.yaml:3: policy.campaings",
        "client.yaml:3: policy.campaigns", "client.yaml:3: policy.leads"}) {
    EXPECT_THAT(status.message(), HasSubstr(part));
  }
  EXPECT_THAT(
      Load("server: fed.example.org\njob: {trainer: [/bin/true]}\n").status().message(),
      HasSubstr("client.yaml:1: server: \"fed.example.org\" has no port; must be host:port"));
}

TEST_F(ClientConfigTest, NotationOfShellsInPathsIsRefused) {
  const auto config = Load(std::string(kMinimal) +
                           "workspace: ~/work\nstate_dir: $HOME/state\n"
                           "policy: {campaigns: [x], leads: [l], models: {base: ~/base}, "
                           "data: {train: '/data/${USER}.jsonl'}}\n");
  const std::string message = config.status().message();
  for (const char* path : {"~/work", "$HOME/state", "~/base", "/data/${USER}.jsonl"}) {
    EXPECT_THAT(message, HasSubstr("\"" + std::string(path) + "\": ~ and $HOME are not expanded"));
  }
  EXPECT_TRUE(Load(std::string(kMinimal) + "workspace: /scratch/a~b\n").ok());
}

TEST_F(ClientConfigTest, RequiresServerAndTrainer) {
  const std::string message = Load("log: {level: info}\n").status().message();
  EXPECT_THAT(message, HasSubstr("server"));
  EXPECT_THAT(message, HasSubstr("job"));
  EXPECT_EQ(LoadClientConfig(directory_ / "absent.yaml").status().code(), StatusCode::kNotFound);
}

TEST_F(ClientConfigTest, ThePollIntervalCanBeChosen) {
  const auto config = Load(
      "server: h:1\n"
      "job: {trainer: [/bin/true], poll_interval: 2s}\n");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->job.poll_interval, std::chrono::seconds(2));
}

}  // namespace
}  // namespace tributary::client

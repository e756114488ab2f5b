// The example files and the files that `provision` and `join` write: all load, and the full
// examples name every key, so that they cannot go stale.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/provision.h"
#include "client/client_config.h"
#include "client/join.h"
#include "client/policy.h"
#include "core/campaign_file.h"
#include "security/grpc_credentials.h"
#include "server/rpc_server.h"
#include "server/server_config.h"
#include "server/submission.h"
#include "server/token_store.h"
#include "tests/core/test_files.h"

namespace tributary {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

std::string Example(std::string_view name) { return JoinPath(TRIBUTARY_CONFIGS_DIR, name); }

std::string TextOf(const std::string& path) {
  const auto text = ReadFile(path);
  EXPECT_TRUE(text.ok()) << text.status();
  return text.ok() ? *text : "";
}

// Key paths ("tls.ca") of YAML in block style, in the order of the text.
std::vector<std::string> KeysOf(std::string_view yaml) {
  std::vector<std::string> keys;
  std::vector<std::pair<std::size_t, std::string>> open;  // indentation, path
  while (!yaml.empty()) {
    const std::string_view line = yaml.substr(0, yaml.find('\n'));
    yaml.remove_prefix(std::min(yaml.size(), line.size() + 1));
    const std::size_t indent = line.find_first_not_of(' ');
    const std::size_t colon = line.find(':');
    if (indent == std::string_view::npos || line[indent] == '#' || line[indent] == '-') continue;
    if (colon == std::string_view::npos) continue;
    while (!open.empty() && open.back().first >= indent) open.pop_back();
    const std::string key(line.substr(indent, colon - indent));
    keys.push_back(open.empty() ? key : open.back().second + "." + key);
    open.emplace_back(indent, keys.back());
  }
  return keys;
}

TEST(KeysOfTest, GivesPathsInTheOrderOfTheText) {
  EXPECT_THAT(KeysOf("# no: comment\na: 1\nb:\n  c:\n    - x: 1\n    - y\n  d: \"e: f\"\n\ng: 2\n"),
              ElementsAre("a", "b", "b.c", "b.d", "g"));
}

// In the order of --check-config: a reader finds each key where the program prints it.
TEST(ExampleTest, ServerFileNamesEveryKey) {
  const auto config = server::LoadServerConfig(Example("server.yaml"));
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(KeysOf(TextOf(Example("server.yaml"))), KeysOf(PrintYaml(*config)));
}

TEST(ExampleTest, ServerFileShowsTheDefaults) {
  auto config = server::LoadServerConfig(Example("server.yaml"));
  ASSERT_TRUE(config.ok()) << config.status();
  server::ServerConfig defaults;
  for (std::string* path : {&defaults.data_dir, &defaults.tls.ca, &defaults.tls.ca_key,
                            &defaults.tls.certificate, &defaults.tls.key}) {
    *path = Example(*path);
  }
  defaults.federation = config->federation;  // the ones that the file says have no such default
  defaults.advertise = config->advertise;
  defaults.log.file = config->log.file;
  EXPECT_EQ(PrintYaml(*config), PrintYaml(defaults));
}

TEST(ServerConfigTest, ARuleThatWouldHaveNoEffectIsRefused) {
  server::ServerConfig config;
  EXPECT_TRUE(
      LoadYaml("federation: f\nkeep_versions: 2\nkeep_every: 3\n", "server.yaml", &config).ok());
  const Status status = LoadYaml("federation: f\nkeep_every: 3\n", "server.yaml", &(config = {}));
  EXPECT_THAT(
      status.message(),
      testing::HasSubstr("server.yaml:2: keep_every: has no effect while keep_versions is 0"));
}

TEST(ExampleTest, ClientFileNamesEveryKey) {
  const auto config = client::LoadClientConfig(Example("client.yaml"));
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(KeysOf(TextOf(Example("client.yaml"))), KeysOf(PrintYaml(*config)));
}

TEST(ExampleTest, ClientFileShowsTheDefaults) {
  const auto config = client::LoadClientConfig(Example("client.yaml"));
  ASSERT_TRUE(config.ok()) << config.status();
  const client::JobSection job;
  EXPECT_EQ(config->job.cpus, job.cpus);
  EXPECT_EQ(config->job.nodes, job.nodes);
  EXPECT_EQ(config->job.max_concurrent, job.max_concurrent);
  EXPECT_EQ(config->job.warning_before, job.warning_before);
  EXPECT_EQ(config->job.gpus, job.gpus);
  EXPECT_EQ(config->job.max_attempts, job.max_attempts);
  EXPECT_EQ(config->job.stall_timeout, job.stall_timeout);
  ASSERT_TRUE(config->job.container);
  EXPECT_EQ(config->job.container->command, client::ContainerSection().command);
  EXPECT_EQ(PrintYaml(config->allocation), PrintYaml(client::AllocationSection()));
  const scheduler_adapters::SchedulerOptions scheduler;
  EXPECT_EQ(config->scheduler.cancel_grace, scheduler.cancel_grace);
  EXPECT_EQ(config->scheduler.command_timeout, scheduler.command_timeout);
  EXPECT_EQ(config->scheduler.command_interval, scheduler.command_interval);
  EXPECT_EQ(config->scheduler.settle, scheduler.settle);
  EXPECT_EQ(config->scheduler.requeue, scheduler.requeue);
  ASSERT_TRUE(config->policy);
  const client::PolicySection policy;
  EXPECT_EQ(config->policy->metrics, policy.metrics);
  EXPECT_EQ(config->policy->max_walltime, policy.max_walltime);
  EXPECT_EQ(config->policy->max_steps, policy.max_steps);
  EXPECT_EQ(config->policy->max_update, policy.max_update);
  EXPECT_EQ(config->policy->error_tail, policy.error_tail);
}

TEST(ExampleTest, FullCampaignNamesEveryKey) {
  CampaignFile file;
  const Status status = LoadYamlFile(Example("campaigns/chem-lora.yaml"), &file);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(KeysOf(TextOf(Example("campaigns/chem-lora.yaml"))), KeysOf(PrintYaml(file)));
}

TEST(ExampleTest, MinimalCampaignSaysOnlyWhatHasNoDefault) {
  CampaignFile file;
  const Status status = LoadYamlFile(Example("campaigns/minimal.yaml"), &file);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_THAT(
      KeysOf(TextOf(Example("campaigns/minimal.yaml"))),
      ElementsAre("name", "model", "model.name", "model.config", "data", "data.train", "sites"));
}

TEST(ExampleTest, EveryCampaignPassesTheServersCheck) {
  const auto names = ListDirectory(Example("campaigns"));
  ASSERT_TRUE(names.ok()) << names.status();
  EXPECT_THAT(*names, Contains("chem-lora.yaml"));
  for (const std::string& name : *names) {
    const std::string path = Example("campaigns/" + name);
    const auto file = server::CheckCampaignText(TextOf(path), path);
    EXPECT_TRUE(file.ok()) << file.status();
  }
}

// The campaign and the site of the examples belong together.
TEST(ExampleTest, ClientFileAllowsTheFullCampaign) {
  const auto config = client::LoadClientConfig(Example("client.yaml"));
  ASSERT_TRUE(config.ok()) << config.status();
  CampaignFile file;
  ASSERT_TRUE(LoadYamlFile(Example("campaigns/chem-lora.yaml"), &file).ok());
  v1::CampaignOffer offer;
  offer.set_campaign(file.name);
  offer.set_lead(cli::ProvisionOptions().lead);
  offer.set_model(file.model.name);
  offer.set_train_data(file.data.train);
  for (const std::string& name : file.data.evaluate) offer.add_evaluation_data(name);
  offer.set_max_walltime_seconds(file.walltime.count());
  const Status status = client::CheckOffer(config->policy, offer);
  EXPECT_TRUE(status.ok()) << status;
}

// A federation as `tributary provision` makes it, on a port that the system chooses.
class StarterFileTest : public testing::Test {
 protected:
  void SetUp() override {
    security::RequireTls13();
    cli::ProvisionOptions options;
    options.name = "starter";
    options.directory = directory_ / "federation";
    options.hosts = {"127.0.0.1"};
    options.listen = "127.0.0.1";
    options.port = 0;
    auto made = cli::Provision(options);
    ASSERT_TRUE(made.ok()) << made.status();
    made_ = *std::move(made);
  }

  const TestDirectory directory_;
  cli::Provisioned made_;
};

TEST_F(StarterFileTest, ProvisionedServerFileLoads) {
  const auto config = server::LoadServerConfig(made_.server_config);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->federation, "starter");
  for (const std::string& path :
       {config->tls.ca, config->tls.ca_key, config->tls.certificate, config->tls.key}) {
    EXPECT_TRUE(PathExists(path)) << path;
  }
}

TEST_F(StarterFileTest, JoinedClientFileLoadsAndAllowsNothing) {
  const auto server_config = server::LoadServerConfig(made_.server_config);
  ASSERT_TRUE(server_config.ok()) << server_config.status();
  ASSERT_TRUE(MakeDirectories(server_config->data_dir).ok());
  std::string token;
  {  // the server opens this file for itself alone
    const auto tokens =
        server::TokenStore::Open(JoinPath(server_config->data_dir, "enrollment.db"));
    ASSERT_TRUE(tokens.ok()) << tokens.status();
    const auto created = (*tokens)->Create(security::Role::kSite, "alpha", SystemClock().Now(),
                                           std::chrono::seconds(600));
    ASSERT_TRUE(created.ok()) << created.status();
    token = created->token;
  }
  const auto server = server::RpcServer::Start(*server_config);
  ASSERT_TRUE(server.ok()) << server.status();
  const std::string address = "127.0.0.1:" + std::to_string((*server)->port());
  const Status joined = client::Join({.server = address,
                                      .ca_fingerprint = made_.ca_fingerprint,
                                      .token = {.token = token, .file = {}},
                                      .directory = directory_ / "site",
                                      .server_name = {}});
  ASSERT_TRUE(joined.ok()) << joined;

  const auto config = client::LoadClientConfig(directory_ / "site/client.yaml");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->server, address);
  EXPECT_THAT(config->job.trainer, SizeIs(1));
  for (const std::string& path : {config->tls.ca, config->tls.certificate, config->tls.key}) {
    EXPECT_TRUE(PathExists(path)) << path;
  }
  ASSERT_TRUE(config->policy);
  EXPECT_THAT(config->policy->campaigns, IsEmpty());
  EXPECT_THAT(config->policy->leads, IsEmpty());
  EXPECT_THAT(config->policy->models, IsEmpty());
  EXPECT_THAT(config->policy->data, IsEmpty());
}

}  // namespace
}  // namespace tributary

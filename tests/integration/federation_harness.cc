#include "tests/integration/federation_harness.h"

#include <csignal>
#include <thread>

#include "cli/campaign_commands.h"
#include "cli/profile.h"
#include "cli/provision.h"
#include "core/peft_adapter.h"
#include "core/safetensors.h"
#include "security/enroll.h"

namespace tributary::integration {
namespace {

constexpr std::chrono::milliseconds kPoll{10};

std::string Program(const std::string& name) { return TRIBUTARY_BIN_DIR "/" + name; }

Status WriteInitial(const std::string& directory) {
  TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(directory));
  std::vector<HostTensor> tensors;
  for (TensorSpec spec : {TensorSpec{"a.lora_A.weight", DType::kF32, {8, 125}},
                          TensorSpec{"a.lora_B.weight", DType::kF32, {8750, 8}}}) {
    std::vector<std::byte> zeros(spec.ByteCount());
    tensors.push_back({std::move(spec), std::move(zeros)});
  }
  return WriteSafetensors(JoinPath(directory, kAdapterWeightsFile), tensors).status();
}

}  // namespace

bool WaitFor(const std::function<bool()>& condition, std::chrono::seconds limit) {
  const auto until = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(kPoll);  // between two looks at the condition
  }
  return true;
}

Result<std::unique_ptr<FederationHarness>> FederationHarness::Start(int sites) {
  return Start(std::vector<SiteSetup>(static_cast<std::size_t>(sites)));
}

Result<std::unique_ptr<FederationHarness>> FederationHarness::Start(
    const std::vector<SiteSetup>& sites) {
  TRIBUTARY_ASSIGN_OR_RETURN(auto scratch, TemporaryDirectory::Create("tributary-test-"));
  std::unique_ptr<FederationHarness> harness(new FederationHarness(std::move(scratch)));
  cli::ProvisionOptions options;
  options.name = "test";
  options.directory = harness->directory();
  options.hosts = {"127.0.0.1"};
  options.listen = "127.0.0.1";
  options.port = 0;
  TRIBUTARY_ASSIGN_OR_RETURN(const auto made, cli::Provision(options));
  harness->ca_fingerprint_ = made.ca_fingerprint;
  harness->server_config_ = made.server_config;
  harness->lead_.profile = made.lead_profile;
  TRIBUTARY_RETURN_IF_ERROR(harness->StartServer());
  TRIBUTARY_RETURN_IF_ERROR(cli::WriteProfile(made.lead_profile, {harness->address_, ""}));
  TRIBUTARY_RETURN_IF_ERROR(WriteInitial(harness->directory() + "/initial"));
  for (const SiteSetup& setup : sites) {
    const std::string site = "site-" + std::to_string(harness->sites_.size());
    harness->sites_.push_back(site);
    TRIBUTARY_RETURN_IF_ERROR(harness->JoinSite(site, setup));
    TRIBUTARY_RETURN_IF_ERROR(harness->StartClient(site));
  }
  return harness;
}

std::string FederationHarness::SiteHome(const std::string& site) const {
  return directory() + "/sites/" + site;
}
std::string FederationHarness::ServerLog() const { return directory() + "/server/server.log"; }

Status FederationHarness::StartServer() {
  const std::string port_file = directory() + "/port";
  TRIBUTARY_RETURN_IF_ERROR(RemoveFile(port_file));
  if (!address_.empty()) {  // the same port again: sites know no other
    TRIBUTARY_ASSIGN_OR_RETURN(std::string yaml, ReadFile(server_config_));
    for (std::size_t at; (at = yaml.find("127.0.0.1:0\n")) != std::string::npos;) {
      yaml.replace(at, 11, address_);
    }
    TRIBUTARY_RETURN_IF_ERROR(WriteFileAtomic(server_config_, yaml));
  }
  TRIBUTARY_ASSIGN_OR_RETURN(
      auto server, ChildProcess::Start({Program("tributary-server"), "--config", server_config_,
                                        "--port-file", port_file},
                                       ServerLog()));
  server_ = std::make_unique<ChildProcess>(std::move(server));
  if (!WaitFor([&] { return PathExists(port_file) || server_->Poll(); }) || server_->Poll()) {
    const auto log = ReadFileTail(ServerLog(), 2000);
    return UnavailableError("the server did not start: " + (log.ok() ? *log : ""));
  }
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string port, ReadFile(port_file));
  address_ = "127.0.0.1:" + port;
  return OkStatus();
}

void FederationHarness::KillServer() {
  kill(server_->pid(), SIGKILL);
  WaitFor([&] { return server_->Poll().has_value(); });
}

int FederationHarness::StopServer() {
  server_->Stop();
  return server_->Poll().value_or(-1);
}

Result<std::string> FederationHarness::RunToTheEnd(int rounds, std::chrono::seconds limit) {
  const CampaignFile campaign = Campaign("allowed", rounds);
  TRIBUTARY_RETURN_IF_ERROR(Submit(campaign).status());
  TRIBUTARY_ASSIGN_OR_RETURN(const v1::CampaignStatus status, AwaitEnd(campaign.name, limit));
  if (status.phase() != "completed") return AbortedError("it ended as " + status.phase());
  return status.version_digest();
}

Result<std::string> FederationHarness::NewToken(const std::string& role, const std::string& name,
                                                int valid_seconds) {
  TRIBUTARY_ASSIGN_OR_RETURN(cli::Session session, cli::Session::Open(lead_));
  // A first connection may fail on a machine with other load.
  (void)session.channel()->WaitForConnected(std::chrono::system_clock::now() +
                                            std::chrono::seconds(30));
  v1::CreateTokenRequest request;
  request.set_role(role);
  request.set_name(name);
  request.set_valid_seconds(valid_seconds);
  TRIBUTARY_ASSIGN_OR_RETURN(const auto token,
                             session.Call(&v1::Control::StubInterface::CreateToken, request));
  return token.token();
}

Status FederationHarness::Enroll(const std::string& role, const std::string& name,
                                 const std::string& home) {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string token, NewToken(role, name, 600));
  TRIBUTARY_RETURN_IF_ERROR(security::Enroll({address_, token, ca_fingerprint_, home}).status());
  return cli::WriteProfile(home, {address_, ""});
}

Status FederationHarness::JoinSite(const std::string& site, const SiteSetup& setup) {
  const std::string home = SiteHome(site);
  TRIBUTARY_RETURN_IF_ERROR(Enroll("site", site, home));
  TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(home + "/none"));  // the model; its trainer needs none
  TRIBUTARY_RETURN_IF_ERROR(WriteFileAtomic(home + "/none.jsonl", ""));
  return WriteFileAtomic(home + "/client.yaml",
                         "server: " + address_ +
                             "\n"
                             "scheduler: " +
                             setup.scheduler +
                             "\n"
                             "job:\n" +
                             setup.job + "  trainer: [" + Program("../tests/constant_trainer") +
                             "]\n"
                             "  environment: {GATE: " +
                             home + "/closed, STARTS: " + home + "/starts" + setup.environment +
                             "}\n"
                             "policy:\n"
                             "  campaigns: [\"allowed*\"]\n"
                             "  leads: [lead]\n"
                             "  models: {none: " +
                             home + "/none}\n" + "  data: {none: " + home +
                             "/none.jsonl}\n"
                             "log: {file: client.log}\n");
}

Status FederationHarness::StartClient(const std::string& site) {
  TRIBUTARY_ASSIGN_OR_RETURN(auto client,
                             ChildProcess::Start({Program("tributary-client"), "run", "--config",
                                                  SiteHome(site) + "/client.yaml"},
                                                 SiteHome(site) + "/client.out"));
  clients_.insert_or_assign(site, std::move(client));
  return OkStatus();
}

void FederationHarness::KillClient(const std::string& site) {
  ChildProcess& client = clients_.at(site);
  kill(client.pid(), SIGKILL);
  WaitFor([&] { return client.Poll().has_value(); });
}

void FederationHarness::CloseGate(const std::string& site) {
  (void)WriteFileAtomic(SiteHome(site) + "/closed", "");
}
void FederationHarness::OpenGate(const std::string& site) {
  (void)RemoveFile(SiteHome(site) + "/closed");
}
int FederationHarness::JobStarts(const std::string& site) const {
  const auto size = FileSize(SiteHome(site) + "/starts");
  return size.ok() ? static_cast<int>(*size) : 0;
}

CampaignFile FederationHarness::Campaign(const std::string& name, int rounds) const {
  CampaignFile file;
  file.name = name;
  file.model.name = "none";
  file.adapter.initial = "initial";
  file.data.train = "none";
  file.data.evaluate = {"none"};
  file.sites = sites_;
  file.pacing.rounds = rounds;
  file.training.steps = 3;
  file.walltime = std::chrono::seconds(600);
  return file;
}

Result<std::string> FederationHarness::Submit(const CampaignFile& campaign) {
  const std::string path = directory() + "/" + campaign.name + ".yaml";
  TRIBUTARY_RETURN_IF_ERROR(WriteFileAtomic(path, PrintYaml(campaign)));
  return cli::SubmitFile(lead_, path);
}

Result<v1::CampaignStatus> FederationHarness::Show(const std::string& campaign) {
  TRIBUTARY_ASSIGN_OR_RETURN(cli::Session session, cli::Session::Open(lead_));
  v1::CampaignRequest request;
  request.set_campaign(campaign);
  return session.Call(&v1::Control::StubInterface::Show, request);
}

Result<v1::CampaignStatus> FederationHarness::AwaitEnd(const std::string& campaign,
                                                       std::chrono::seconds limit) {
  Result<v1::CampaignStatus> status = UnavailableError("never asked");
  const bool ended = WaitFor(
      [&] {
        status = Show(campaign);
        return status.ok() && status->ended_at_us() != 0;
      },
      limit);
  if (ended || !status.ok()) return status;
  return DeadlineExceededError("campaign is still " + status->phase() + " " + status->note());
}

}  // namespace tributary::integration

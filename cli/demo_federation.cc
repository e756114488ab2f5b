#include "cli/demo_federation.h"

#include <csignal>
#include <thread>

#include "cli/profile.h"
#include "cli/provision.h"
#include "core/config.h"
#include "core/files.h"
#include "security/enroll.h"
#include "security/identity.h"

namespace tributary::cli {
namespace {

constexpr std::chrono::seconds kStartTimeout{30};
constexpr std::chrono::milliseconds kPollInterval{50};
constexpr std::chrono::seconds kStopGrace{60};  // of a client, until its jobs have ended
constexpr int kAnyPort = 0;

// Waits for the server to say which port it got.
Result<std::string> AwaitPort(const std::string& port_file, ChildProcess& server,
                              const std::string& log) {
  const auto until = std::chrono::steady_clock::now() + kStartTimeout;
  while (!PathExists(port_file)) {
    if (server.Poll() || std::chrono::steady_clock::now() > until) {
      return UnavailableError("the server did not start; see " + log);
    }
    std::this_thread::sleep_for(kPollInterval);
  }
  return ReadFile(port_file);
}

std::string ClientFile(const std::string& server, const DemoSite& site, const DemoBase& base) {
  std::string trainer;
  for (const std::string& word : site.trainer) {
    trainer += (trainer.empty() ? "" : ", ") + YamlText(word);
  }
  if (trainer.empty()) trainer = YamlText(ProgramDirectory() + "/tributary-trainer");
  return "server: " + server +
         "\n"
         "state_dir: state\n"
         "workspace: work\n"
         "scheduler: {adapter: local}\n"
         "job:\n"
         "  trainer: [" +
         trainer +
         "]\n"
         "  cpus: 1\n"
         "  max_concurrent: 1\n"
         "  warning_before: 10s\n"
         "policy:\n"
         "  campaigns: [\"" +
         std::string(kDemoCampaign) +
         "*\"]\n"
         "  leads: [lead]\n"
         "  models: {" +
         base.name + ": " + YamlText(base.directory) +
         "}\n"
         "  data: {field: " +
         YamlText(site.train) + ", field-heldout: " + YamlText(site.heldout) +
         "}\n"
         "  metrics: [\"loss/*\"]\n"
         "log: {file: client.log}\n";
}

// The site's administrator: joins with the token.
Status JoinSite(Session& lead, const std::string& directory, const std::string& address,
                const DemoSite& site) {
  v1::CreateTokenRequest request;
  request.set_role("site");
  request.set_name(site.name);
  request.set_valid_seconds(600);
  TRIBUTARY_ASSIGN_OR_RETURN(const auto token,
                             lead.Call(&v1::Control::StubInterface::CreateToken, request));
  return security::Enroll({address, token.token(), token.ca_fingerprint(), directory}).status();
}

std::string SiteHome(const std::string& directory, const DemoSite& site) {
  return JoinPath(directory, "sites/" + site.name);
}

}  // namespace

Result<DemoFederation> DemoFederation::Start(const std::string& directory,
                                             const std::vector<DemoSite>& sites) {
  ProvisionOptions options;
  options.name = "demo";
  options.directory = directory;
  options.hosts = {"127.0.0.1", "localhost"};
  options.listen = "127.0.0.1";
  options.port = kAnyPort;
  TRIBUTARY_ASSIGN_OR_RETURN(const Provisioned made, Provision(options));

  DemoFederation federation;
  federation.directory_ = directory;
  federation.sites_ = sites;
  const std::string port_file = JoinPath(directory, "server/port");
  const std::string log = JoinPath(directory, "server/server.log");
  TRIBUTARY_ASSIGN_OR_RETURN(
      ChildProcess server,
      ChildProcess::Start({ProgramDirectory() + "/tributary-server", "--config", made.server_config,
                           "--port-file", port_file},
                          log));
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string port, AwaitPort(port_file, server, log));
  federation.server_ = Process{"server", log, std::move(server)};
  federation.address_ = "127.0.0.1:" + port;
  TRIBUTARY_RETURN_IF_ERROR(WriteProfile(made.lead_profile, {federation.address_, ""}));
  federation.lead_.profile = made.lead_profile;
  TRIBUTARY_ASSIGN_OR_RETURN(Session lead, Session::Open(federation.lead_));
  // A first connection may fail on a machine with other load.
  (void)lead.channel()->WaitForConnected(std::chrono::system_clock::now() + kStartTimeout);
  for (const DemoSite& site : sites) {
    TRIBUTARY_RETURN_IF_ERROR(JoinSite(lead, SiteHome(directory, site), federation.address_, site)
                                  .Annotate("site " + site.name));
  }
  return federation;
}

// The clients first: they end their jobs and tell the server.
DemoFederation::~DemoFederation() {
  for (Process& client : clients_) client.child.Signal(SIGTERM);
  for (Process& client : clients_) client.child.Await(kStopGrace);
}

Status DemoFederation::Validate(const CampaignFile& campaign) const {
  TRIBUTARY_ASSIGN_OR_RETURN(Session lead, Session::Open(lead_));
  v1::SubmitRequest request;
  request.set_yaml(PrintYaml(campaign));
  request.set_file_name(campaign.name);
  return lead.Call(&v1::Control::StubInterface::Validate, request).status();
}

Status DemoFederation::StartSites(const DemoBase& base) {
  for (const DemoSite& site : sites_) {
    const std::string home = SiteHome(directory_, site);
    const std::string config = JoinPath(home, "client.yaml");
    TRIBUTARY_RETURN_IF_ERROR(WriteFileAtomic(config, ClientFile(address_, site, base)));
    TRIBUTARY_ASSIGN_OR_RETURN(ChildProcess client,
                               ChildProcess::Start({ProgramDirectory() + "/tributary-client", "run",
                                                    "--end-jobs", "--config", config},
                                                   JoinPath(home, "client.out")));
    clients_.push_back({"site " + site.name, home, std::move(client)});
  }
  return OkStatus();
}

Status DemoFederation::CheckAlive() {
  const auto check = [](Process& process) {
    const auto code = process.child.Poll();
    if (!code) return OkStatus();
    return AbortedError(process.name + " ended with exit code " + std::to_string(*code) + "; see " +
                        process.log);
  };
  TRIBUTARY_RETURN_IF_ERROR(check(*server_));
  for (Process& client : clients_) TRIBUTARY_RETURN_IF_ERROR(check(client));
  return OkStatus();
}

}  // namespace tributary::cli

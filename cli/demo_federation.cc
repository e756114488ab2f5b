#include "cli/demo_federation.h"

#include <nlohmann/json.hpp>
#include <thread>

#include "cli/profile.h"
#include "cli/provision.h"
#include "core/files.h"
#include "security/enroll.h"
#include "security/identity.h"

namespace tributary::cli {
namespace {

constexpr std::chrono::seconds kStartTimeout{30};
constexpr std::chrono::milliseconds kPollInterval{50};
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

std::string ClientFile(const std::string& server, const DemoSite& site,
                       const std::string& base_model) {
  std::string trainer;
  for (const std::string& word : site.trainer) {
    trainer += (trainer.empty() ? "" : ", ") + nlohmann::json(word).dump();
  }
  if (trainer.empty()) trainer = ProgramDirectory() + "/tributary-trainer";
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
         "  models: {wordnet-base: " +
         base_model +
         "}\n"
         "  data: {field: " +
         site.train + ", field-heldout: " + site.heldout +
         "}\n"
         "  metrics: [\"loss/*\"]\n"
         "log: {file: client.log}\n";
}

// The site's administrator: joins with the token, completes the site's file.
Status JoinSite(Session& lead, const std::string& directory, const std::string& address,
                const DemoSite& site, const std::string& base_model) {
  v1::CreateTokenRequest request;
  request.set_role("site");
  request.set_name(site.name);
  request.set_valid_seconds(600);
  TRIBUTARY_ASSIGN_OR_RETURN(const auto token,
                             lead.Call(&v1::Control::StubInterface::CreateToken, request));
  TRIBUTARY_RETURN_IF_ERROR(
      security::Enroll({address, token.token(), token.ca_fingerprint(), directory}).status());
  return WriteFileAtomic(JoinPath(directory, "client.yaml"), ClientFile(address, site, base_model));
}

}  // namespace

Result<DemoFederation> DemoFederation::Start(const std::string& directory,
                                             const std::string& base_model,
                                             const std::vector<DemoSite>& sites) {
  ProvisionOptions options;
  options.name = "demo";
  options.directory = directory;
  options.hosts = {"127.0.0.1", "localhost"};
  options.listen = "127.0.0.1";
  options.port = kAnyPort;
  TRIBUTARY_ASSIGN_OR_RETURN(const Provisioned made, Provision(options));

  DemoFederation federation;
  const std::string programs = ProgramDirectory();
  const std::string port_file = JoinPath(directory, "server/port");
  const std::string server_log = JoinPath(directory, "server/server.log");
  TRIBUTARY_ASSIGN_OR_RETURN(ChildProcess server,
                             ChildProcess::Start({programs + "/tributary-server", "--config",
                                                  made.server_config, "--port-file", port_file},
                                                 server_log));
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string port, AwaitPort(port_file, server, server_log));
  federation.processes_.push_back({"server", server_log, std::move(server)});
  const std::string address = "127.0.0.1:" + port;
  TRIBUTARY_RETURN_IF_ERROR(WriteProfile(made.lead_profile, {address, ""}));
  federation.lead_.profile = made.lead_profile;

  TRIBUTARY_ASSIGN_OR_RETURN(Session lead, Session::Open(federation.lead_));
  for (const DemoSite& site : sites) {
    const std::string home = JoinPath(directory, "sites/" + site.name);
    TRIBUTARY_RETURN_IF_ERROR(
        JoinSite(lead, home, address, site, base_model).Annotate("site " + site.name));
    TRIBUTARY_ASSIGN_OR_RETURN(
        ChildProcess client, ChildProcess::Start({programs + "/tributary-client", "run", "--config",
                                                  JoinPath(home, "client.yaml")},
                                                 JoinPath(home, "client.out")));
    federation.processes_.push_back({"site " + site.name, home, std::move(client)});
  }
  return federation;
}

Status DemoFederation::CheckAlive() {
  for (Process& process : processes_) {
    if (const auto code = process.child.Poll()) {
      return AbortedError(process.name + " ended with exit code " + std::to_string(*code) +
                          "; see " + process.log);
    }
  }
  return OkStatus();
}

}  // namespace tributary::cli

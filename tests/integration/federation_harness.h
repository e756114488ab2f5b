// A federation of real processes in a temporary directory: tributary-server, tributary-client with
// local jobs, and a trainer that only adds a constant.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cli/session.h"
#include "core/campaign_file.h"
#include "core/child_process.h"
#include "core/files.h"
#include "core/status.h"

namespace tributary::integration {

inline constexpr int kRounds = 3;  // of most campaigns

// Waits for a condition, for at most a minute.
bool WaitFor(const std::function<bool()>& condition,
             std::chrono::seconds limit = std::chrono::seconds(60));

// What the site's file says of its scheduler and its jobs, besides the trainer: YAML.
struct SiteSetup {
  std::string scheduler = "{adapter: local, cancel_grace: 2s}";
  std::string job = "";          // more keys, each line indented by two blanks
  std::string environment = "";  // more variables: ", DELAY: 1"
};

// One thread. Everything ends and is removed with the object.
class FederationHarness {
 public:
  static Result<std::unique_ptr<FederationHarness>> Start(int sites);
  static Result<std::unique_ptr<FederationHarness>> Start(const std::vector<SiteSetup>& sites);

  const std::string& directory() const { return scratch_.path(); }
  const cli::GlobalOptions& lead() const { return lead_; }
  const std::string& address() const { return address_; }
  const std::string& ca_fingerprint() const { return ca_fingerprint_; }
  std::string SiteHome(const std::string& site) const;
  std::string ServerLog() const;

  // SIGKILL: no chance to say goodbye. Start... begins it again on the same files.
  void KillServer();
  Status StartServer();
  void KillClient(const std::string& site);
  Status StartClient(const std::string& site);
  // SIGTERM; the exit code.
  int StopServer();

  // Jobs of a site wait at their start while its gate is closed.
  void CloseGate(const std::string& site);
  void OpenGate(const std::string& site);
  // How often a job of the site began, over its whole life.
  int JobStarts(const std::string& site) const;

  // A campaign over all sites with a small adapter of two tensors.
  CampaignFile Campaign(const std::string& name, int rounds) const;
  Result<std::string> Submit(const CampaignFile& campaign);
  Result<v1::CampaignStatus> Show(const std::string& campaign);
  // Waits until the campaign has ended; its last status.
  Result<v1::CampaignStatus> AwaitEnd(const std::string& campaign,
                                      std::chrono::seconds limit = std::chrono::seconds(60));
  // Campaign("allowed", rounds) from its submission to its end; the digest of its last version.
  Result<std::string> RunToTheEnd(int rounds,
                                  std::chrono::seconds limit = std::chrono::seconds(120));
  // A member's profile or site directory, enrolled with a fresh token.
  Status Enroll(const std::string& role, const std::string& name, const std::string& directory);
  Result<std::string> NewToken(const std::string& role, const std::string& name, int valid_seconds);

 private:
  explicit FederationHarness(TemporaryDirectory scratch) : scratch_(std::move(scratch)) {}
  Status JoinSite(const std::string& site, const SiteSetup& setup);

  TemporaryDirectory scratch_;
  cli::GlobalOptions lead_;
  std::string address_, ca_fingerprint_, server_config_;
  std::vector<std::string> sites_;
  std::unique_ptr<ChildProcess> server_;
  std::map<std::string, ChildProcess> clients_;
};

}  // namespace tributary::integration

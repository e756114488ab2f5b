// The demonstration's federation: real server, real clients with their own keys, as child processes
// of this one.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/session.h"
#include "core/campaign_file.h"
#include "core/child_process.h"
#include "core/status.h"

namespace tributary::cli {

// The sites allow campaigns whose names begin so.
inline constexpr const char* kDemoCampaign = "wordnet-demo";

struct DemoSite {
  std::string name;
  std::string train, heldout;             // JSONL files
  std::vector<std::string> trainer = {};  // empty: tributary-trainer
};

// The base model of every site.
struct DemoBase {
  std::string name, directory;
};

// One thread. Server, clients and the jobs of the sites end with the object, and with this process.
class DemoFederation {
 public:
  // Provisions under `directory`, starts the server, lets each site join with a one-time token.
  static Result<DemoFederation> Start(const std::string& directory,
                                      const std::vector<DemoSite>& sites);
  ~DemoFederation();
  DemoFederation(DemoFederation&&) = default;

  // The server's checks of a campaign before it is submitted.
  Status Validate(const CampaignFile& campaign) const;
  // Starts the sites' clients.
  Status StartSites(const DemoBase& base);

  const GlobalOptions& lead() const { return lead_; }
  // An error when a process has ended by itself; names its log.
  Status CheckAlive();

 private:
  struct Process {
    std::string name, log;
    ChildProcess child;
  };
  DemoFederation() = default;

  std::string directory_, address_;
  std::vector<DemoSite> sites_;
  GlobalOptions lead_;
  std::optional<Process> server_;
  std::vector<Process> clients_;
};

}  // namespace tributary::cli

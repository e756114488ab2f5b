// The demonstration's federation: real server, real clients with their own keys, as child processes
// of this one.
#pragma once

#include <string>
#include <vector>

#include "cli/session.h"
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

// One thread. Everything ends with the object.
class DemoFederation {
 public:
  // Provisions under `directory`, starts the server, lets each site join with a one-time token,
  // starts its client.
  static Result<DemoFederation> Start(const std::string& directory, const std::string& base_model,
                                      const std::vector<DemoSite>& sites);

  const GlobalOptions& lead() const { return lead_; }
  // An error when a process has ended by itself; names its log.
  Status CheckAlive();

 private:
  struct Process {
    std::string name, log;
    ChildProcess child;
  };
  GlobalOptions lead_;
  std::vector<Process> processes_;  // the server first
};

}  // namespace tributary::cli

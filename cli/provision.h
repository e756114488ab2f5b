// `tributary provision`: a new federation.
#pragma once

#include <string>
#include <vector>

#include "core/status.h"

namespace tributary::cli {

struct ProvisionOptions {
  std::string name;                // of the federation
  std::string directory;           // must not hold one already
  std::vector<std::string> hosts;  // DNS names and addresses of the server
  int port = 8443;
  std::string listen = "0.0.0.0";
  std::string data_dir = "data";  // relative to <directory>/server
  std::string lead = "lead";      // the first lead; may also enroll members
};

struct Provisioned {
  std::string server_config, lead_profile, ca_fingerprint;
};

// <directory>/server: server.yaml, CA and server certificate with their keys (mode 0600);
// <directory>/lead: the profile of the first lead, role admin.
Result<Provisioned> Provision(const ProvisionOptions& options);

}  // namespace tributary::cli

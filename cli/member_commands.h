// provision, token, join, sites. Each returns an exit code (output.h).
#pragma once

#include <chrono>
#include <string>

#include "cli/provision.h"
#include "cli/session.h"
#include "security/token_input.h"

namespace tributary::cli {

struct TokenOptions {
  std::string role = "site";
  std::string name;
  std::string valid = "24h";
};

struct JoinOptions {
  std::string server, server_name, ca_fingerprint;
  security::TokenSource token;
};

int ProvisionCommand(const GlobalOptions& options, const ProvisionOptions& provision);
int TokenCommand(const GlobalOptions& options, const TokenOptions& token);
int JoinCommand(const GlobalOptions& options, const JoinOptions& join);
int SitesCommand(const GlobalOptions& options);

}  // namespace tributary::cli

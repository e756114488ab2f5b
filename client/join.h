// `tributary-client join`: enrolls the site and leaves a site file to complete.
#pragma once

#include <string>

#include "core/status.h"
#include "security/token_input.h"

namespace tributary::client {

struct JoinOptions {
  std::string server, ca_fingerprint;
  security::TokenSource token;
  std::string directory = ".";
  std::string server_name;  // in the server's certificate; empty: the host of `server`
};

// Writes key, certificates and, unless there is one, client.yaml into the directory; says on
// standard output what to do next, and that a client.yaml that was there names another server.
Status Join(const JoinOptions& options);

}  // namespace tributary::client

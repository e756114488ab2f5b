// `tributary-client join`: enrolls the site and leaves a site file to complete.
#pragma once

#include <string>

#include "core/status.h"

namespace tributary::client {

struct JoinOptions {
  std::string server, token, ca_fingerprint;
  std::string directory = ".";
};

// Writes key, certificates and, unless there is one, client.yaml into the directory; says on
// standard output what to do next.
Status Join(const JoinOptions& options);

}  // namespace tributary::client

// The joining half of enrollment, for sites and people alike.
#pragma once

#include <chrono>
#include <string>

#include "core/status.h"
#include "security/identity.h"

namespace tributary::security {

struct EnrollOptions {
  std::string server;            // host:port
  std::string token;             // one-time
  std::string ca_fingerprint;    // SHA256:<hex>
  std::string directory;         // gets ca.crt, member.crt, member.key
  std::string server_name = {};  // in the server's certificate; empty: the host of `server`
};

// Compares the CA that the server shows with the fingerprint, makes a key in `directory`, sends a
// certificate request over a verified channel, and keeps the certificate. The key never leaves.
// Already exists when the directory holds a certificate. On failure nothing but the (useless) key
// stays.
Result<Identity> Enroll(const EnrollOptions& options);

}  // namespace tributary::security

// How a site that knows only a fingerprint gets the certificate of its federation's CA.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/status.h"

namespace tributary::security {

// Shakes hands with the server in TLS 1.3, trusting nothing, and returns the certificate (PEM) in
// the presented chain whose fingerprint is `fingerprint` ("SHA256:<hex>", case ignored). Sends
// nothing else: the caller opens a verified channel with the certificate before it sends a secret.
// kUnauthenticated, with both fingerprints, when none matches.
Result<std::string> FetchServerCa(const std::string& host, std::uint16_t port,
                                  std::string_view fingerprint, std::chrono::milliseconds timeout);

}  // namespace tributary::security

// How a site that knows only a fingerprint gets the certificate of its federation's CA; and the
// steps of a connection, one by one, for a site that wants to know which of them fails.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/files.h"
#include "core/status.h"

namespace tributary::security {

// Shakes hands with the server in TLS 1.3, trusting nothing, and returns the certificate (PEM) in
// the presented chain whose fingerprint is `fingerprint` ("SHA256:<hex>", case ignored). Sends
// nothing else: the caller opens a verified channel with the certificate before it sends a secret.
// kUnauthenticated, with both fingerprints, when none matches.
Result<std::string> FetchServerCa(const std::string& host, std::uint16_t port,
                                  std::string_view fingerprint, std::chrono::milliseconds timeout);

// A non-blocking socket to the first address of the host that takes the connection.
Result<FileDescriptor> ConnectToHost(const std::string& host, std::uint16_t port,
                                     std::chrono::milliseconds timeout);

// Shakes hands in TLS 1.3 over a non-blocking socket, trusting nothing, and returns the
// certificates (PEM) that the server presents, its own first. Sends nothing else.
Result<std::vector<std::string>> FetchServerChain(int socket_fd, const std::string& host,
                                                  std::chrono::milliseconds timeout);

}  // namespace tributary::security

// Why a server is not reached, in words that a person can act on. What gRPC says of it is of its
// own insides.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "core/status.h"

namespace tributary::security {

// DNS names and addresses that a server's certificate speaks for.
Result<std::vector<std::string>> CertificateNames(std::string_view certificate_pem);

// OK when the certificate speaks for this name or address; the error names those that it does.
Status CheckCertificateName(std::string_view certificate_pem, const std::string& host);

// OK when `now` is within; else the error says what this machine's clock says.
Status CheckCertificateTime(std::string_view certificate_pem, std::string_view whose,
                            Timestamp now);

struct ReachOptions {
  std::string server;       // host:port
  std::string server_name;  // in its certificate; empty: the host's
  std::string ca_pem;       // of its authority; empty: not compared
  std::string member_pem;   // the own certificate; empty: none
};

// Tries each step of a connection by itself, directly: names, TCP, TLS, authority, certificates,
// clocks. OK when none of them fails. Takes up to `timeout`.
Status ExplainReach(const ReachOptions& options, Timestamp now, std::chrono::milliseconds timeout);

}  // namespace tributary::security

// The doctor's look at the way to the server: the site's certificate, and each step of a
// connection.
#pragma once

#include "client/client_config.h"
#include "client/doctor_check.h"
#include "core/clock.h"

namespace tributary::client {

// Certificate, key and authority, on this machine alone.
Checks CheckCredentials(const ClientConfig& config, Timestamp now);

// Proxy, name, TCP, TLS, a call that only a member may make, and the server's clock. What comes
// after a step that failed is skipped. Does not touch the stream of a daemon that runs.
Checks CheckServer(const ClientConfig& config, const Clock& clock);

// How far this machine's clock is from the server's, when the answer took so long. Seconds count
// little; beyond five minutes a fresh certificate is not valid yet.
Check JudgeClock(Timestamp here, Timestamp server, std::chrono::microseconds round_trip);

}  // namespace tributary::client

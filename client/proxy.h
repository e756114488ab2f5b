// Which proxy the daemon connects through: read here, and handed to gRPC, whose own reading knows
// fewer forms of these variables.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "core/endpoint.h"

namespace tributary::client {

using GetVariable = std::function<std::optional<std::string>(const char*)>;
std::optional<std::string> VariableOfProcess(const char* name);

struct ProxyChoice {
  bool in_use = false;
  std::string variable;  // the one that decided; empty: none is set
  std::string host;      // of the proxy, when in use
  std::uint16_t port = 0;
  bool has_password = false;  // which is never shown
  std::string uri;            // for gRPC, with the password
  std::string exempted_by;    // the entry of no_proxy that made the connection direct
  // Why a variable that is set does not do what its author meant; empty: nothing.
  std::string trouble;
};

// For a connection to `server`. The first of grpc_proxy, https_proxy, HTTPS_PROXY, http_proxy that
// is set counts (HTTP_PROXY does not: a web server's child may have it from a request), unless an
// entry of no_grpc_proxy, no_proxy or NO_PROXY, separated by commas or blanks, covers the server:
//   *                     every server
//   example.org           this host, and those below it; also *.example.org
//   .example.org          every host that ends so
//   fed.example.org:8443  at this port alone
//   10.1.2.3, [fd00::1]   this address
//   10.0.0.0/8, fd00::/8  addresses of this network
ProxyChoice ChooseProxy(const HostAndPort& server, const GetVariable& get);

}  // namespace tributary::client

// Which proxy gRPC will use, read from the same variables in the same order as gRPC 1.51 does.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace tributary::client {

using GetVariable = std::function<std::optional<std::string>(const char*)>;
std::optional<std::string> VariableOfProcess(const char* name);

struct ProxyChoice {
  bool in_use = false;
  std::string variable;  // the one that decided; empty: none is set
  std::string host;      // of the proxy, when in use
  std::uint16_t port = 0;
  bool has_password = false;  // which is never shown
  std::string exempted_by;    // the entry of no_proxy that made the connection direct
  // Why a variable that is set does not do what its author meant; empty: nothing.
  std::string trouble;
};

// For a connection to `host`.
ProxyChoice ChooseProxy(const std::string& host, const GetVariable& get);

// "fed.example.org:8443", "[::1]:8443".
struct HostAndPort {
  std::string host;
  std::uint16_t port = 0;
};
std::optional<HostAndPort> SplitHostAndPort(std::string_view text);

}  // namespace tributary::client

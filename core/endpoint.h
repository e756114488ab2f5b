// Where a server is: "fed.example.org:8443", "[::1]:8443".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tributary {

struct HostAndPort {
  std::string host;  // without brackets
  std::uint16_t port = 0;
};

// Nothing for what is none; an IPv6 address needs its brackets.
std::optional<HostAndPort> SplitHostAndPort(std::string_view text);

// With brackets around an IPv6 address.
std::string JoinHostAndPort(std::string_view host, std::uint16_t port);

// An address or a name without the brackets that may be around it.
std::string BareHost(std::string_view host);

}  // namespace tributary

// The addresses of a host, found as gRPC finds them: by c-ares, from /etc/hosts and the servers of
// /etc/resolv.conf. What is said of a name here holds for the connection that follows, also in a
// program without the C library's resolver.
#pragma once

#include <sys/socket.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "core/status.h"

namespace tributary::security {

struct HostAddress {
  sockaddr_storage address{};
  socklen_t size = 0;

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address); }
  int family() const { return address.ss_family; }
  std::string Text() const;  // as numbers, without the port
};

// At least one, best first. A name may be an address. kUnavailable when it has none or its servers
// do not answer before the deadline.
Result<std::vector<HostAddress>> LookUpHost(const std::string& host, std::uint16_t port,
                                            std::chrono::steady_clock::time_point deadline);

}  // namespace tributary::security

#include "core/endpoint.h"

#include <charconv>

namespace tributary {

std::optional<HostAndPort> SplitHostAndPort(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == text.npos || colon == 0) return std::nullopt;
  HostAndPort address;
  const std::string_view port = text.substr(colon + 1);
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), address.port);
  if (error != std::errc() || end != port.data() + port.size() || address.port == 0) {
    return std::nullopt;
  }
  const std::string_view host = text.substr(0, colon);
  address.host = BareHost(host);
  const bool bare = address.host.size() == host.size();
  if (address.host.empty() || (bare && host.find(':') != host.npos)) return std::nullopt;
  return address;
}

std::string JoinHostAndPort(std::string_view host, std::uint16_t port) {
  const std::string bare = BareHost(host);
  const bool brackets = bare.find(':') != std::string::npos;
  return (brackets ? "[" + bare + "]" : bare) + ":" + std::to_string(port);
}

std::string BareHost(std::string_view host) {
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return std::string(host);
}

}  // namespace tributary

#include "client/proxy.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <cstring>

#include "core/text.h"

namespace tributary::client {
namespace {

constexpr std::uint16_t kDefaultPort = 443;  // what gRPC takes for a proxy without one

std::string Lower(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : static_cast<char>(c);
  });
  return lower;
}

struct Address {
  std::array<unsigned char, 16> bytes{};
  int bits = 0;  // 32 or 128; 0: none
};

Address ParseAddress(const std::string& text) {
  Address address;
  if (inet_pton(AF_INET, text.c_str(), address.bytes.data()) == 1) {
    address.bits = 32;
  } else if (inet_pton(AF_INET6, text.c_str(), address.bytes.data()) == 1) {
    address.bits = 128;
  }
  return address;
}

bool InNetwork(const Address& address, const Address& network, int bits) {
  if (address.bits == 0 || address.bits != network.bits || bits < 0 || bits > network.bits) {
    return false;
  }
  const int whole = bits / 8;
  if (std::memcmp(address.bytes.data(), network.bytes.data(), static_cast<std::size_t>(whole)) !=
      0) {
    return false;
  }
  if (bits % 8 == 0) return true;
  const auto at = static_cast<std::size_t>(whole);
  return ((address.bytes[at] ^ network.bytes[at]) >> (8 - bits % 8)) == 0;
}

// "10.0.0.0/8"; nothing for an entry of another form.
std::optional<bool> CoversNetwork(std::string_view entry, const Address& address) {
  const std::size_t slash = entry.find('/');
  if (slash == entry.npos) return std::nullopt;
  const Address network = ParseAddress(BareHost(entry.substr(0, slash)));
  int bits = -1;
  const std::string_view number = entry.substr(slash + 1);
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), bits);
  if (error != std::errc() || end != number.data() + number.size()) return false;
  return InNetwork(address, network, bits);
}

bool Covers(std::string_view written, const HostAndPort& server) {
  std::string entry = Lower(written);
  const std::string host = Lower(server.host);
  const Address address = ParseAddress(host);
  if (entry == "*") return true;
  if (const auto network = CoversNetwork(entry, address)) return *network;
  if (ParseAddress(entry).bits == 0) {  // an IPv6 address has colons of its own
    if (const auto with_port = SplitHostAndPort(entry)) {
      if (with_port->port != server.port) return false;
      entry = with_port->host;
    }
    entry = BareHost(entry);
  }
  const Address same = ParseAddress(entry);
  if (same.bits != 0) return InNetwork(address, same, same.bits);
  if (entry.starts_with("*.")) entry.erase(0, 1);
  if (entry.starts_with('.')) return host.ends_with(entry);
  return !entry.empty() && (host == entry || host.ends_with("." + entry));
}

std::optional<std::string> EntryFor(const HostAndPort& server, std::string_view entries) {
  while (!entries.empty()) {
    const std::size_t end = std::min(entries.find_first_of(", \t"), entries.size());
    const std::string_view entry = entries.substr(0, end);
    entries.remove_prefix(std::min(entries.size(), end + 1));
    if (!entry.empty() && Covers(entry, server)) return std::string(entry);
  }
  return std::nullopt;
}

void ReadUri(std::string_view uri, ProxyChoice* choice) {
  constexpr std::string_view kScheme = "http://";
  if (uri.starts_with(kScheme)) {
    uri.remove_prefix(kScheme.size());
  } else if (uri.find("://") != uri.npos) {
    choice->trouble = choice->variable +
                      " is of a kind that is not supported (http:// is), so the "
                      "connection is direct";
    return;
  }
  uri = uri.substr(0, uri.find_first_of("/?#"));
  choice->uri = std::string(kScheme) + std::string(uri);
  if (const std::size_t at = uri.rfind('@'); at != uri.npos) {
    choice->has_password = true;
    uri.remove_prefix(at + 1);
  }
  auto address = SplitHostAndPort(uri);
  if (!address && uri.find(':') == uri.npos && !uri.empty()) {
    address = HostAndPort{std::string(uri), kDefaultPort};
  }
  if (!address) {
    choice->trouble = choice->variable + " has no host and port that can be read";
    return;
  }
  choice->in_use = true;
  choice->host = address->host;
  choice->port = address->port;
}

// The first that is set.
std::optional<std::string> FirstOf(std::initializer_list<const char*> names, const GetVariable& get,
                                   std::string* which) {
  for (const char* name : names) {
    const auto value = get(name);
    if (!value) continue;
    *which = name;
    return value;
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> VariableOfProcess(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): read-only use
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

ProxyChoice ChooseProxy(const HostAndPort& server, const GetVariable& get) {
  ProxyChoice choice;
  const auto uri =
      FirstOf({"grpc_proxy", "https_proxy", "HTTPS_PROXY", "http_proxy"}, get, &choice.variable);
  if (!uri || uri->empty()) return choice;  // set and empty: none
  std::string ignored;
  const auto exempt = FirstOf({"no_grpc_proxy", "no_proxy", "NO_PROXY"}, get, &ignored);
  if (const auto entry = EntryFor(server, exempt.value_or(""))) {
    choice.exempted_by = *entry;
    return choice;
  }
  ReadUri(*uri, &choice);
  return choice;
}

}  // namespace tributary::client

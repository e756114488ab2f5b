#include "client/proxy.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>

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

// The first entry that the host ends with.
std::optional<std::string> EntryFor(const std::string& host, std::string_view entries) {
  while (!entries.empty()) {
    const std::string_view entry = entries.substr(0, entries.find(','));
    entries.remove_prefix(std::min(entries.size(), entry.size() + 1));
    if (!entry.empty() && Lower(host).ends_with(Lower(entry))) return std::string(entry);
  }
  return std::nullopt;
}

std::string UpperCaseTrouble(const GetVariable& get) {
  for (const char* name : {"HTTPS_PROXY", "HTTP_PROXY"}) {
    if (const auto value = get(name); value && !value->empty()) {
      return std::string(name) + " is set, which gRPC does not read";
    }
  }
  return {};
}

void ReadUri(std::string_view uri, ProxyChoice* choice) {
  constexpr std::string_view kScheme = "http://";
  if (!uri.starts_with(kScheme)) {
    choice->trouble = choice->variable + " does not begin with http://, so gRPC connects directly";
    return;
  }
  uri.remove_prefix(kScheme.size());
  uri = uri.substr(0, uri.find_first_of("/?#"));
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

}  // namespace

std::optional<std::string> VariableOfProcess(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): read-only use
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

ProxyChoice ChooseProxy(const std::string& host, const GetVariable& get) {
  ProxyChoice choice;
  std::optional<std::string> uri;
  for (const char* name : {"grpc_proxy", "https_proxy", "http_proxy"}) {
    uri = get(name);
    if (!uri) continue;
    choice.variable = name;
    break;
  }
  if (!uri) choice.trouble = UpperCaseTrouble(get);
  if (!uri || uri->empty()) return choice;  // set and empty: none
  auto exempt = get("no_grpc_proxy");
  if (!exempt) exempt = get("no_proxy");
  if (const auto entry = EntryFor(host, exempt.value_or(""))) {
    choice.exempted_by = *entry;
    return choice;
  }
  ReadUri(*uri, &choice);
  return choice;
}

std::optional<HostAndPort> SplitHostAndPort(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == text.npos || colon == 0) return std::nullopt;
  HostAndPort address;
  const std::string_view port = text.substr(colon + 1);
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), address.port);
  if (error != std::errc() || end != port.data() + port.size() || address.port == 0) {
    return std::nullopt;
  }
  std::string_view host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != host.npos) {
    return std::nullopt;  // an IPv6 address without brackets
  }
  if (host.empty()) return std::nullopt;
  address.host = host;
  return address;
}

}  // namespace tributary::client

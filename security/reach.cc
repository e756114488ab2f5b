#include "security/reach.h"

#include <arpa/inet.h>
#include <openssl/err.h>

#include <algorithm>
#include <array>

#include "core/endpoint.h"
#include "core/text.h"
#include "security/openssl.h"
#include "security/pki.h"
#include "security/server_probe.h"

namespace tributary::security {
namespace {

std::string Text(const ASN1_STRING* value) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(value)),
          static_cast<std::size_t>(ASN1_STRING_length(value))};
}

std::string AddressText(const std::string& bytes) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const int family = bytes.size() == 4 ? AF_INET : AF_INET6;
  if (bytes.size() != 4 && bytes.size() != 16) return "?";
  const char* written = inet_ntop(family, bytes.data(), text.data(), text.size());
  return written == nullptr ? "?" : written;
}

bool IsAddress(const std::string& host) {
  std::array<unsigned char, 16> bytes{};
  return inet_pton(AF_INET, host.c_str(), bytes.data()) == 1 ||
         inet_pton(AF_INET6, host.c_str(), bytes.data()) == 1;
}

Status CheckAuthority(const std::vector<std::string>& chain, const std::string& ca_pem) {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string expected, CertificateFingerprint(ca_pem));
  std::string last = "no certificate";
  for (const std::string& certificate : chain) {
    TRIBUTARY_ASSIGN_OR_RETURN(last, CertificateFingerprint(certificate));
    if (last == expected) return OkStatus();
  }
  return UnauthenticatedError("the server presents the authority " + last + ", not " + expected +
                              ": another federation's server, or something between that opens TLS");
}

}  // namespace

Result<std::vector<std::string>> CertificateNames(std::string_view certificate_pem) {
  TRIBUTARY_ASSIGN_OR_RETURN(const X509Ptr certificate, ParseCertificate(certificate_pem));
  const NamesPtr names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate.get(), NID_subject_alt_name, nullptr, nullptr)));
  std::vector<std::string> texts;
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type == GEN_DNS) texts.push_back(Printable(Text(name->d.dNSName), 253));
    if (name->type == GEN_IPADD) texts.push_back(AddressText(Text(name->d.iPAddress)));
  }
  ERR_clear_error();
  return texts;
}

Status CheckCertificateName(std::string_view certificate_pem, const std::string& host) {
  TRIBUTARY_ASSIGN_OR_RETURN(const X509Ptr certificate, ParseCertificate(certificate_pem));
  const int matches =
      IsAddress(host) ? X509_check_ip_asc(certificate.get(), host.c_str(), 0)
                      : X509_check_host(certificate.get(), host.data(), host.size(), 0, nullptr);
  ERR_clear_error();
  if (matches == 1) return OkStatus();
  TRIBUTARY_ASSIGN_OR_RETURN(const auto names, CertificateNames(certificate_pem));
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
  return UnauthenticatedError(
      "the server's certificate is for " + (list.empty() ? "no name" : list) + ", not for " +
      Excerpt(host, 253) + "; if this is the right server, set server_name to one of them");
}

Status CheckCertificateTime(std::string_view certificate_pem, std::string_view whose,
                            Timestamp now) {
  TRIBUTARY_ASSIGN_OR_RETURN(const Validity validity, CertificateValidity(certificate_pem));
  const std::string clock = "; this machine's clock says " + FormatTimestamp(now);
  if (now < validity.not_before) {
    return UnauthenticatedError(std::string(whose) + " is not valid before " +
                                FormatTimestamp(validity.not_before) + clock);
  }
  if (now >= validity.not_after) {
    return UnauthenticatedError(std::string(whose) + " ended at " +
                                FormatTimestamp(validity.not_after) + clock);
  }
  return OkStatus();
}

Status ExplainReach(const ReachOptions& options, Timestamp now, std::chrono::milliseconds timeout) {
  const auto server = SplitHostAndPort(options.server);
  if (!server) return InvalidArgumentError("\"" + Excerpt(options.server) + "\" is not host:port");
  if (!options.member_pem.empty()) {
    TRIBUTARY_RETURN_IF_ERROR(CheckCertificateTime(options.member_pem, "the own certificate", now));
  }
  TRIBUTARY_ASSIGN_OR_RETURN(
      const FileDescriptor socket,
      ConnectToHost(server->host, server->port, timeout).Annotate(options.server));
  const std::string& name = options.server_name.empty() ? server->host : options.server_name;
  TRIBUTARY_ASSIGN_OR_RETURN(
      const auto chain, FetchServerChain(socket.get(), name, timeout).Annotate(options.server));
  if (chain.empty()) return UnauthenticatedError("the server presents no certificate");
  if (!options.ca_pem.empty()) {
    TRIBUTARY_RETURN_IF_ERROR(CheckAuthority(chain, options.ca_pem));
  }
  TRIBUTARY_RETURN_IF_ERROR(CheckCertificateTime(chain.front(), "the server's certificate", now));
  return CheckCertificateName(chain.front(), name);
}

}  // namespace tributary::security

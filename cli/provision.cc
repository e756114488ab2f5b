#include "cli/provision.h"

#include "cli/profile.h"
#include "core/clock.h"
#include "core/config.h"
#include "core/endpoint.h"
#include "core/files.h"
#include "security/key_file.h"
#include "security/pki.h"

namespace tributary::cli {
namespace {

using security::PrivateKey;

Status WriteMember(const std::string& directory, const std::string& ca,
                   const std::string& certificate, const PrivateKey& key) {
  TRIBUTARY_RETURN_IF_ERROR(WriteFileAtomic(JoinPath(directory, "ca.crt"), ca, 0644));
  TRIBUTARY_RETURN_IF_ERROR(WriteFileAtomic(JoinPath(directory, "member.crt"), certificate, 0644));
  return security::WriteKeyFile(JoinPath(directory, "member.key"), key);
}

std::string AddressOf(const std::string& host, const ProvisionOptions& options) {
  return JoinHostAndPort(host, static_cast<std::uint16_t>(options.port));
}

std::string ServerFile(const ProvisionOptions& options) {
  return "# The federation's server. See configs/server.yaml for every key.\n"
         "federation: " +
         options.name +
         "\n"
         "listen: " +
         YamlText(AddressOf(options.listen, options)) +
         "\n"
         "advertise: " +
         YamlText(AddressOf(options.hosts.front(), options)) +
         "\n"
         "data_dir: " +
         YamlText(options.data_dir) +
         "  # journal and blobs, on a local disk\n"
         "tls:\n"
         "  ca: ca.crt\n"
         "  ca_key: ca.key\n"
         "  certificate: server.crt\n"
         "  key: server.key\n";
}

}  // namespace

Result<Provisioned> Provision(const ProvisionOptions& options) {
  TRIBUTARY_RETURN_IF_ERROR(security::CheckName("federation", options.name));
  TRIBUTARY_RETURN_IF_ERROR(security::CheckName("lead", options.lead));
  if (options.hosts.empty()) return InvalidArgumentError("--host: name at least one");
  const std::string server = JoinPath(options.directory, "server");
  const std::string lead = JoinPath(options.directory, "lead");
  if (PathExists(JoinPath(server, "ca.key"))) {
    return AlreadyExistsError(options.directory + " holds a federation already");
  }
  TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(server));
  TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(lead));
  const Timestamp now = SystemClock().Now();
  std::vector<std::string> names;  // in its certificate
  for (const std::string& host : options.hosts) names.push_back(BareHost(host));

  TRIBUTARY_ASSIGN_OR_RETURN(const auto authority,
                             security::CreateCertificateAuthority(
                                 options.name, security::ValidFrom(now, security::kCaLifetime)));
  TRIBUTARY_ASSIGN_OR_RETURN(const PrivateKey server_key, PrivateKey::Generate());
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string server_csr,
                             security::MakeCertificateRequest(server_key));
  TRIBUTARY_ASSIGN_OR_RETURN(
      const std::string server_certificate,
      security::IssueServerCertificate(authority, server_csr, names,
                                       security::ValidFrom(now, security::kDefaultLifetime)));
  TRIBUTARY_ASSIGN_OR_RETURN(const PrivateKey lead_key, PrivateKey::Generate());
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string lead_csr,
                             security::MakeCertificateRequest(lead_key));
  TRIBUTARY_ASSIGN_OR_RETURN(
      const std::string lead_certificate,
      security::IssueMemberCertificate(authority, lead_csr,
                                       {options.name, security::Role::kAdmin, options.lead},
                                       security::ValidFrom(now, security::kDefaultLifetime)));

  TRIBUTARY_RETURN_IF_ERROR(
      WriteFileAtomic(JoinPath(server, "ca.crt"), authority.certificate_pem, 0644));
  TRIBUTARY_RETURN_IF_ERROR(
      WriteFileAtomic(JoinPath(server, "server.crt"), server_certificate, 0644));
  TRIBUTARY_RETURN_IF_ERROR(security::WriteKeyFile(JoinPath(server, "server.key"), server_key));
  TRIBUTARY_RETURN_IF_ERROR(WriteFileAtomic(JoinPath(server, "server.yaml"), ServerFile(options)));
  TRIBUTARY_RETURN_IF_ERROR(
      WriteMember(lead, authority.certificate_pem, lead_certificate, lead_key));
  TRIBUTARY_RETURN_IF_ERROR(WriteProfile(lead, {AddressOf(options.hosts.front(), options), ""}));
  // Last: its presence means that the federation is whole.
  TRIBUTARY_RETURN_IF_ERROR(security::WriteKeyFile(JoinPath(server, "ca.key"), authority.key));
  TRIBUTARY_ASSIGN_OR_RETURN(std::string fingerprint,
                             security::CertificateFingerprint(authority.certificate_pem));
  return Provisioned{JoinPath(server, "server.yaml"), lead, std::move(fingerprint)};
}

}  // namespace tributary::cli

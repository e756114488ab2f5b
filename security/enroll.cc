#include "security/enroll.h"

#include <grpcpp/grpcpp.h>

#include "core/clock.h"
#include "core/endpoint.h"
#include "core/files.h"
#include "core/text.h"
#include "security/grpc_credentials.h"
#include "security/key_file.h"
#include "security/pki.h"
#include "security/reach.h"
#include "security/server_probe.h"
#include "tributary/v1/enrollment.grpc.pb.h"

namespace tributary::security {
namespace {

constexpr std::chrono::seconds kTimeout{20};

// What was wrong with the connection, where something was; else what the server or gRPC said.
Status Explained(const EnrollOptions& options, const std::string& ca, const grpc::Status& status) {
  const Status said(static_cast<StatusCode>(status.error_code()), status.error_message());
  const bool connection =
      said.code() == StatusCode::kUnavailable || said.code() == StatusCode::kDeadlineExceeded;
  if (!connection) return said;
  const Status reason = ExplainReach({options.server, options.server_name, ca, ""},
                                     SystemClock().Now(), std::chrono::seconds(5));
  return reason.ok() ? said : Status(said.code(), reason.message());
}

// What is there may be another federation's, or none of ours at all: it stays.
Status CheckAuthorityFile(const std::string& path, const std::string& ca) {
  if (!PathExists(path)) return OkStatus();
  const auto there = ReadFile(path);
  const auto ours = CertificateFingerprint(ca);
  const auto theirs =
      there.ok() ? CertificateFingerprint(*there) : Result<std::string>(there.status());
  if (ours.ok() && theirs.ok() && *ours == *theirs) return OkStatus();
  return AlreadyExistsError(path +
                            " is there, and is not this federation's; join into a directory "
                            "of its own: --dir DIR");
}

// A typing error is none of the server's: it is said before anybody is asked.
Status CheckFingerprint(const std::string& text) {
  constexpr std::string_view kPrefix = "SHA256:";
  constexpr std::string_view kHex = "0123456789abcdefABCDEF";
  const std::string_view digits =
      std::string_view(text).substr(std::min(text.size(), kPrefix.size()));
  const bool right = text.starts_with(kPrefix) && digits.size() == 64 &&
                     digits.find_first_not_of(kHex) == std::string_view::npos;
  if (right) return OkStatus();
  return InvalidArgumentError("the authority's fingerprint \"" + Excerpt(text) +
                              "\" is none; must be SHA256: and 64 hexadecimal digits");
}

}  // namespace

Result<Identity> Enroll(const EnrollOptions& options) {
  const std::string certificate_path = JoinPath(options.directory, "member.crt");
  const std::string key_path = JoinPath(options.directory, "member.key");
  if (PathExists(certificate_path)) {
    return AlreadyExistsError(certificate_path + " exists; this member has joined already");
  }
  const auto endpoint = SplitHostAndPort(options.server);
  if (!endpoint) {
    return InvalidArgumentError("server: \"" + Excerpt(options.server) + "\" is not host:port");
  }
  TRIBUTARY_RETURN_IF_ERROR(CheckFingerprint(options.ca_fingerprint));
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string ca, FetchServerCa(endpoint->host, endpoint->port,
                                                                 options.ca_fingerprint, kTimeout));
  TRIBUTARY_RETURN_IF_ERROR(CheckAuthorityFile(JoinPath(options.directory, "ca.crt"), ca));
  TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(options.directory));
  TRIBUTARY_ASSIGN_OR_RETURN(const PrivateKey key, PrivateKey::Generate());
  TRIBUTARY_RETURN_IF_ERROR(WriteKeyFile(key_path, key));
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string csr, MakeCertificateRequest(key));

  TRIBUTARY_ASSIGN_OR_RETURN(const auto credentials, MakeChannelCredentials(ca, std::nullopt));
  grpc::ChannelArguments arguments;
  if (!options.server_name.empty()) arguments.SetSslTargetNameOverride(options.server_name);
  const auto channel = grpc::CreateCustomChannel(options.server, credentials, arguments);
  const auto stub = v1::Enrollment::NewStub(channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kTimeout);
  v1::EnrollRequest request;
  request.set_token(options.token);
  request.set_csr_pem(csr);
  v1::EnrollResponse response;
  const grpc::Status status = stub->Enroll(&context, request, &response);
  if (!status.ok()) return Explained(options, ca, status);
  TRIBUTARY_RETURN_IF_ERROR(CheckKeyMatches(response.certificate_pem(), key));
  TRIBUTARY_ASSIGN_OR_RETURN(Identity identity, CertificateIdentity(response.certificate_pem()));
  TRIBUTARY_RETURN_IF_ERROR(WriteFileAtomic(JoinPath(options.directory, "ca.crt"), ca, 0644));
  TRIBUTARY_RETURN_IF_ERROR(WriteFileAtomic(certificate_path, response.certificate_pem(), 0644));
  return identity;
}

}  // namespace tributary::security

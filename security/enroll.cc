#include "security/enroll.h"

#include <grpcpp/grpcpp.h>

#include <charconv>

#include "core/files.h"
#include "security/grpc_credentials.h"
#include "security/key_file.h"
#include "security/pki.h"
#include "security/server_probe.h"
#include "tributary/v1/enrollment.grpc.pb.h"

namespace tributary::security {
namespace {

constexpr std::chrono::seconds kTimeout{20};

struct Endpoint {
  std::string host;
  std::uint16_t port = 0;
};

Result<Endpoint> ParseEndpoint(const std::string& server) {
  const std::size_t colon = server.rfind(':');
  Endpoint endpoint;
  if (colon != std::string::npos && colon > 0) {
    endpoint.host = server.substr(0, colon);
    const char* end = server.data() + server.size();
    const auto parsed = std::from_chars(server.data() + colon + 1, end, endpoint.port);
    if (parsed.ec == std::errc() && parsed.ptr == end && endpoint.port != 0) return endpoint;
  }
  return InvalidArgumentError("server: \"" + server + "\" is not host:port");
}

}  // namespace

Result<Identity> Enroll(const EnrollOptions& options) {
  const std::string certificate_path = JoinPath(options.directory, "member.crt");
  const std::string key_path = JoinPath(options.directory, "member.key");
  if (PathExists(certificate_path)) {
    return AlreadyExistsError(certificate_path + " exists; this member has joined already");
  }
  TRIBUTARY_ASSIGN_OR_RETURN(const Endpoint endpoint, ParseEndpoint(options.server));
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string ca, FetchServerCa(endpoint.host, endpoint.port,
                                                                 options.ca_fingerprint, kTimeout));
  TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(options.directory));
  TRIBUTARY_ASSIGN_OR_RETURN(const PrivateKey key, PrivateKey::Generate());
  TRIBUTARY_RETURN_IF_ERROR(WriteKeyFile(key_path, key));
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string csr, MakeCertificateRequest(key));

  TRIBUTARY_ASSIGN_OR_RETURN(const auto credentials, MakeChannelCredentials(ca, std::nullopt));
  const auto channel = grpc::CreateChannel(options.server, credentials);
  const auto stub = v1::Enrollment::NewStub(channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kTimeout);
  v1::EnrollRequest request;
  request.set_token(options.token);
  request.set_csr_pem(csr);
  v1::EnrollResponse response;
  const grpc::Status status = stub->Enroll(&context, request, &response);
  if (!status.ok()) {
    return Status(static_cast<StatusCode>(status.error_code()), status.error_message());
  }
  TRIBUTARY_RETURN_IF_ERROR(CheckKeyMatches(response.certificate_pem(), key));
  TRIBUTARY_ASSIGN_OR_RETURN(Identity identity, CertificateIdentity(response.certificate_pem()));
  TRIBUTARY_RETURN_IF_ERROR(WriteFileAtomic(JoinPath(options.directory, "ca.crt"), ca, 0644));
  TRIBUTARY_RETURN_IF_ERROR(WriteFileAtomic(certificate_path, response.certificate_pem(), 0644));
  return identity;
}

}  // namespace tributary::security

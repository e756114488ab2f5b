#include "security/grpc_credentials.h"

#include <grpc/grpc_security_constants.h>
#include <grpcpp/security/auth_context.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>
#include <openssl/crypto.h>

#include <cstdlib>

namespace tributary::security {

void RequireTls13() {
  // gRPC 1.51 has no option for the least TLS version. This list holds for TLS 1.2 alone, and none
  // of it works with the EC keys that our issuer makes: what is left is TLS 1.3.
  setenv("GRPC_SSL_CIPHER_SUITES", "ECDHE-RSA-AES256-GCM-SHA384", 1);
#ifdef TRIBUTARY_STATIC
  // The system's openssl.cnf may name modules, which a static program cannot load.
  OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr);
#endif
}

Result<std::shared_ptr<grpc::ServerCredentials>> MakeServerCredentials(
    const std::string& ca_pem, const CertificateAndKey& server) {
  TRIBUTARY_RETURN_IF_ERROR(CheckKeyMatches(server.certificate_pem, server.key));
  TRIBUTARY_RETURN_IF_ERROR(CertificateFingerprint(ca_pem).status());
  TRIBUTARY_ASSIGN_OR_RETURN(std::string key_pem, server.key.ToPem());
  grpc::SslServerCredentialsOptions options(GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY);
  options.pem_root_certs = ca_pem;
  options.pem_key_cert_pairs.push_back({std::move(key_pem), server.certificate_pem});
  return grpc::SslServerCredentials(options);
}

Result<std::shared_ptr<grpc::ChannelCredentials>> MakeChannelCredentials(
    const std::string& ca_pem, const std::optional<CertificateAndKey>& member) {
  TRIBUTARY_RETURN_IF_ERROR(CertificateFingerprint(ca_pem).status());
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = ca_pem;
  if (member) {
    TRIBUTARY_RETURN_IF_ERROR(CheckKeyMatches(member->certificate_pem, member->key));
    TRIBUTARY_ASSIGN_OR_RETURN(options.pem_private_key, member->key.ToPem());
    options.pem_cert_chain = member->certificate_pem;
  }
  return grpc::SslCredentials(options);
}

Result<std::string> PeerCertificatePem(const grpc::AuthContext& context) {
  const auto certificates = context.FindPropertyValues(GRPC_X509_PEM_CERT_PROPERTY_NAME);
  if (!context.IsPeerAuthenticated() || certificates.size() != 1) {
    return UnauthenticatedError("the caller has no certificate");
  }
  return std::string(certificates[0].data(), certificates[0].size());
}

Result<Identity> PeerIdentity(const grpc::AuthContext& context) {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string pem, PeerCertificatePem(context));
  Result<Identity> identity = CertificateIdentity(pem);
  if (!identity.ok()) return UnauthenticatedError(identity.status().message());
  return identity;
}

}  // namespace tributary::security

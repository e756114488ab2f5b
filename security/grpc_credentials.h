// TLS for gRPC: mutual, 1.3 only.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "core/status.h"
#include "security/identity.h"
#include "security/pki.h"

namespace grpc {
class AuthContext;
class ChannelCredentials;
class ServerCredentials;
}  // namespace grpc

namespace tributary::security {

// Makes gRPC refuse TLS 1.2 in this process, as server and as client. To be called first in main(),
// before any other use of gRPC: it sets an environment variable that gRPC reads once.
void RequireTls13();

struct CertificateAndKey {
  std::string certificate_pem;  // for a server: the chain, as IssueServerCertificate gives it
  PrivateKey key;
};

// The client's certificate is asked for, and the connection refused if it has one that the CA did
// not sign for clients or that is not valid now. A client without any is let in: handlers ask
// PeerIdentity().
Result<std::shared_ptr<grpc::ServerCredentials>> MakeServerCredentials(
    const std::string& ca_pem, const CertificateAndKey& server);

// Trusts exactly this CA. Without a certificate only Enroll can be called.
Result<std::shared_ptr<grpc::ChannelCredentials>> MakeChannelCredentials(
    const std::string& ca_pem, const std::optional<CertificateAndKey>& member);

// Of the caller, from its verified certificate. kUnauthenticated when it has none or it names no
// member.
Result<Identity> PeerIdentity(const grpc::AuthContext& context);
Result<std::string> PeerCertificatePem(const grpc::AuthContext& context);

}  // namespace tributary::security

// The federation's certificate authority: keys, requests and certificates. All keys are EC P-256;
// all certificates are PEM.
//
// A member makes its key where it will be used and sends a request (CSR). The issuer takes the
// public key from it, and nothing else: who the certificate speaks for is the issuer's decision.
//
// Functions may be called from any thread.
#pragma once

#include <openssl/types.h>

#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "core/status.h"
#include "security/identity.h"

namespace tributary::security {

// An EC P-256 private key. Immutable; shared between copies; any thread.
class PrivateKey {
 public:
  static Result<PrivateKey> Generate();
  static Result<PrivateKey> FromPem(std::string_view pem);

  Result<std::string> ToPem() const;  // PKCS #8, not encrypted: write it with WriteKeyFile only
  EVP_PKEY* get() const { return key_.get(); }

 private:
  explicit PrivateKey(std::shared_ptr<EVP_PKEY> key) : key_(std::move(key)) {}
  std::shared_ptr<EVP_PKEY> key_;
};

struct Validity {
  Timestamp not_before, not_after;
};

// From five minutes before `now`, for clocks that differ, to `lifetime` after it. Certificates
// count whole seconds.
Validity ValidFrom(Timestamp now, std::chrono::seconds lifetime);

inline constexpr std::chrono::days kCaLifetime{3653};
inline constexpr std::chrono::days kDefaultLifetime{365};

struct CertificateAuthority {
  std::string certificate_pem;
  PrivateKey key;
};

// Self-signed, for the federation of this name.
Result<CertificateAuthority> CreateCertificateAuthority(std::string_view federation,
                                                        const Validity& validity);

// A request signed with the key; carries no names.
Result<std::string> MakeCertificateRequest(const PrivateKey& key);

// The server's certificate followed by the CA's, which is what the server presents, so that a
// joining site can compare the CA with the fingerprint it was given. `names`: at least one DNS name
// or IP address.
Result<std::string> IssueServerCertificate(const CertificateAuthority& authority,
                                           std::string_view request_pem,
                                           std::span<const std::string> names,
                                           const Validity& validity);

// kInvalidArgument when the request is not signed by the key in it, or is not for an EC P-256 key.
Result<std::string> IssueMemberCertificate(const CertificateAuthority& authority,
                                           std::string_view request_pem, const Identity& identity,
                                           const Validity& validity);

// Of the first certificate in the text.
Result<std::string> CertificateFingerprint(std::string_view certificate_pem);  // "SHA256:<hex>"
Result<Identity> CertificateIdentity(std::string_view certificate_pem);
Result<Validity> CertificateValidity(std::string_view certificate_pem);
Result<std::string> CertificateSerial(std::string_view certificate_pem);  // lower-case hex
// OK when the certificate's public key belongs to the private key.
Status CheckKeyMatches(std::string_view certificate_pem, const PrivateKey& key);

}  // namespace tributary::security

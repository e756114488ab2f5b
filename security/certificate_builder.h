// Puts one X.509 certificate together. For pki.cc.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/status.h"
#include "security/openssl.h"
#include "security/pki.h"

namespace tributary::security {

// Each step may fail; the first failure is what Sign() returns. Serial: 128 random bits. One
// thread.
class CertificateBuilder {
 public:
  CertificateBuilder(EVP_PKEY* subject_key, const Validity& validity);

  void SetSubject(const std::vector<std::pair<const char*, std::string>>& parts);
  // The issuer's certificate, which outlives the builder; null for self-signed, after SetSubject.
  void SetIssuer(X509* issuer);
  // `value` in OpenSSL's configuration syntax: nothing unchecked from outside.
  void Extend(int nid, const std::string& value);

  // PEM.
  Result<std::string> Sign(EVP_PKEY* issuer_key) &&;

 private:
  void Require(bool done, std::string_view what);

  X509Ptr certificate_;
  X509* issuer_ = nullptr;
  Status status_;
};

}  // namespace tributary::security

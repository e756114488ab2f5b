// A certificate authority with members, made anew for a test.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "core/clock.h"
#include "security/pki.h"

namespace tributary::security {

struct TestMember {
  PrivateKey key;
  std::string certificate;
};

// Aborts the test program (an exception of a Result without value) when anything fails.
class TestFederation {
 public:
  explicit TestFederation(const std::string& name = "test")
      : name_(name), authority_(*CreateCertificateAuthority(name, Now(std::chrono::hours(24)))) {}

  static Validity Now(std::chrono::seconds lifetime) {
    return ValidFrom(SystemClock().Now(), lifetime);
  }
  const CertificateAuthority& authority() const { return authority_; }
  const std::string& ca() const { return authority_.certificate_pem; }

  TestMember Member(Role role, const std::string& name,
                    const Validity& validity = Now(std::chrono::hours(1))) const {
    const PrivateKey key = *PrivateKey::Generate();
    return {key, *IssueMemberCertificate(authority_, *MakeCertificateRequest(key),
                                         {name_, role, name}, validity)};
  }
  TestMember Server(const std::vector<std::string>& names,
                    const Validity& validity = Now(std::chrono::hours(1))) const {
    const PrivateKey key = *PrivateKey::Generate();
    return {key,
            *IssueServerCertificate(authority_, *MakeCertificateRequest(key), names, validity)};
  }

 private:
  std::string name_;
  CertificateAuthority authority_;
};

}  // namespace tributary::security

#include "security/pki.h"

#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <set>

#include "security/openssl.h"
#include "tests/security/test_federation.h"

namespace tributary::security {
namespace {

// 0, or OpenSSL's reason why the chain is not good for this purpose at this time.
int VerifyError(const std::string& ca, const std::string& leaf, int purpose, Timestamp at) {
  const X509Ptr root = *ParseCertificate(ca), certificate = *ParseCertificate(leaf);
  X509_STORE* store = X509_STORE_new();
  X509_STORE_add_cert(store, root.get());
  X509_STORE_CTX* context = X509_STORE_CTX_new();
  X509_STORE_CTX_init(context, store, certificate.get(), nullptr);
  X509_STORE_CTX_set_purpose(context, purpose);
  X509_STORE_CTX_set_time(context, 0, static_cast<std::time_t>(ToMicros(at) / 1000000));
  X509_STORE_CTX_set_flags(context, X509_V_FLAG_X509_STRICT);
  const int error = X509_verify_cert(context) == 1 ? 0 : X509_STORE_CTX_get_error(context);
  X509_STORE_CTX_free(context);
  X509_STORE_free(store);
  return error;
}

const Timestamp kNow = TimestampFromMicros(1772357400'000000);

class PkiTest : public testing::Test {
 protected:
  std::string Issue(const Identity& identity) {
    return *IssueMemberCertificate(ca_, *MakeCertificateRequest(key_), identity,
                                   ValidFrom(kNow, kDefaultLifetime));
  }

  CertificateAuthority ca_ = *CreateCertificateAuthority("chem", ValidFrom(kNow, kCaLifetime));
  PrivateKey key_ = *PrivateKey::Generate();
  const Identity site_{"chem", Role::kSite, "alpha"};
};

TEST_F(PkiTest, MemberCertificateCarriesTheIssuersIdentityAndVerifies) {
  const std::string pem = Issue(site_);
  EXPECT_EQ(*CertificateIdentity(pem), site_);
  EXPECT_EQ(VerifyError(ca_.certificate_pem, pem, X509_PURPOSE_SSL_CLIENT, kNow), 0);
  EXPECT_TRUE(CheckKeyMatches(pem, key_).ok());
  const CertificateAuthority other =
      *CreateCertificateAuthority("chem", ValidFrom(kNow, kCaLifetime));
  EXPECT_NE(VerifyError(other.certificate_pem, pem, X509_PURPOSE_SSL_CLIENT, kNow), 0);
}

TEST_F(PkiTest, MemberCertificateIsNoServerCertificateAndNoAuthority) {
  const std::string pem = Issue(site_);
  EXPECT_EQ(VerifyError(ca_.certificate_pem, pem, X509_PURPOSE_SSL_SERVER, kNow),
            X509_V_ERR_INVALID_PURPOSE);
  const CertificateAuthority impostor{pem, key_};
  const std::string forged =
      *IssueMemberCertificate(impostor, *MakeCertificateRequest(key_),
                              {"chem", Role::kAdmin, "mallory"}, ValidFrom(kNow, kDefaultLifetime));
  EXPECT_NE(VerifyError(ca_.certificate_pem, forged, X509_PURPOSE_SSL_CLIENT, kNow), 0);
}

TEST_F(PkiTest, ServerChainNamesItsHostsAndEndsInTheAuthority) {
  const std::vector<std::string> names = {"fed.example.org", "127.0.0.1", "::1"};
  const std::string chain = *IssueServerCertificate(ca_, *MakeCertificateRequest(key_), names,
                                                    ValidFrom(kNow, kDefaultLifetime));
  EXPECT_EQ(VerifyError(ca_.certificate_pem, chain, X509_PURPOSE_SSL_SERVER, kNow), 0);
  EXPECT_EQ(VerifyError(ca_.certificate_pem, chain, X509_PURPOSE_SSL_CLIENT, kNow),
            X509_V_ERR_INVALID_PURPOSE);
  const X509Ptr leaf = *ParseCertificate(chain);
  EXPECT_EQ(X509_check_host(leaf.get(), "fed.example.org", 0, 0, nullptr), 1);
  EXPECT_EQ(X509_check_host(leaf.get(), "example.org", 0, 0, nullptr), 0);
  EXPECT_EQ(X509_check_ip_asc(leaf.get(), "127.0.0.1", 0), 1);
  EXPECT_EQ(X509_check_ip_asc(leaf.get(), "::1", 0), 1);
  EXPECT_TRUE(chain.ends_with(ca_.certificate_pem));
  EXPECT_FALSE(CertificateIdentity(chain).ok());
}

TEST_F(PkiTest, ServerNamesAreChecked) {
  const std::string request = *MakeCertificateRequest(key_);
  const Validity validity = ValidFrom(kNow, kDefaultLifetime);
  EXPECT_EQ(IssueServerCertificate(ca_, request, {}, validity).status().message(),
            "a server certificate needs at least one name");
  for (const std::string name :
       {"a,URI:tributary://chem/admin/x", "", "a b", "*.org", "-a", "a\n"}) {
    const std::vector<std::string> names = {name};
    EXPECT_EQ(IssueServerCertificate(ca_, request, names, validity).status().code(),
              StatusCode::kInvalidArgument)
        << name;
  }
}

TEST_F(PkiTest, ValidityIsWhatWasAskedFor) {
  const Validity validity = *CertificateValidity(Issue(site_));
  EXPECT_EQ(validity.not_before, kNow - std::chrono::minutes(5));
  EXPECT_EQ(validity.not_after, kNow + std::chrono::days(365));
  const std::string pem = Issue(site_);
  EXPECT_EQ(VerifyError(ca_.certificate_pem, pem, X509_PURPOSE_SSL_CLIENT,
                        validity.not_after + std::chrono::seconds(1)),
            X509_V_ERR_CERT_HAS_EXPIRED);
  EXPECT_EQ(VerifyError(ca_.certificate_pem, pem, X509_PURPOSE_SSL_CLIENT,
                        validity.not_before - std::chrono::seconds(1)),
            X509_V_ERR_CERT_NOT_YET_VALID);
  EXPECT_FALSE(CreateCertificateAuthority("chem", {kNow, kNow}).ok());
}

TEST_F(PkiTest, SerialsAreLongAndDiffer) {
  std::set<std::string> serials;
  for (int i = 0; i < 50; ++i) serials.insert(*CertificateSerial(Issue(site_)));
  EXPECT_EQ(serials.size(), 50u);
  for (const std::string& serial : serials) EXPECT_EQ(serial.size(), 32u);
}

TEST_F(PkiTest, FingerprintIsTheDigestOfTheCertificate) {
  const std::string fingerprint = *CertificateFingerprint(ca_.certificate_pem);
  EXPECT_EQ(fingerprint.size(), 7u + 64u);
  EXPECT_EQ(fingerprint.substr(0, 7), "SHA256:");
  EXPECT_EQ(fingerprint.find_first_not_of("0123456789abcdef", 7), std::string::npos);
  EXPECT_NE(fingerprint, *CertificateFingerprint(Issue(site_)));
}

// A request made by others: any subject, any key, signed by whichever key.
std::string Request(EVP_PKEY* key, EVP_PKEY* signer, const char* common_name) {
  const X509ReqPtr request(X509_REQ_new());
  X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(request.get()), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(common_name), -1, -1, 0);
  X509_REQ_set_pubkey(request.get(), key);
  X509_REQ_sign(request.get(), signer, EVP_sha256());
  const BioPtr bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509_REQ(bio.get(), request.get());
  return BioText(bio.get());
}

TEST_F(PkiTest, OnlyThePublicKeyIsTakenFromARequest) {
  const std::string pem =
      *IssueMemberCertificate(ca_, Request(key_.get(), key_.get(), "admin of everything"), site_,
                              ValidFrom(kNow, kDefaultLifetime));
  const X509Ptr certificate = *ParseCertificate(pem);
  char name[200];
  X509_NAME_oneline(X509_get_subject_name(certificate.get()), name, sizeof name);
  EXPECT_STREQ(name, "/O=chem/OU=site/CN=alpha");
}

TEST_F(PkiTest, RequestsMustBeSignedByTheirOwnP256Key) {
  const PrivateKey other = *PrivateKey::Generate();
  const Validity validity = ValidFrom(kNow, kDefaultLifetime);
  EXPECT_EQ(IssueMemberCertificate(ca_, Request(key_.get(), other.get(), "x"), site_, validity)
                .status()
                .message(),
            "the certificate request is not signed by its own key");
  const PkeyPtr rsa(EVP_RSA_gen(2048)), p384(EVP_EC_gen("P-384"));
  for (EVP_PKEY* key : {rsa.get(), p384.get()}) {
    EXPECT_EQ(
        IssueMemberCertificate(ca_, Request(key, key, "x"), site_, validity).status().message(),
        "the certificate request's key is not an EC P-256 key");
  }
  for (const std::string_view text : {"", "garbage",
                                      "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n"
                                      "-----END CERTIFICATE REQUEST-----\n"}) {
    EXPECT_EQ(IssueMemberCertificate(ca_, text, site_, validity).status().code(),
              StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(ERR_peek_error(), 0u) << "errors left in OpenSSL's queue";
}

TEST_F(PkiTest, IdentitiesAreCheckedBeforeTheyAreSigned) {
  const std::string request = *MakeCertificateRequest(key_);
  for (const Identity& bad :
       {Identity{"chem", Role::kSite, "a,URI:b"}, Identity{"chem", Role::kSite, ""},
        Identity{"Chem", Role::kSite, "a"}}) {
    EXPECT_EQ(IssueMemberCertificate(ca_, request, bad, ValidFrom(kNow, kDefaultLifetime))
                  .status()
                  .code(),
              StatusCode::kInvalidArgument);
  }
}

TEST_F(PkiTest, KeysSurvivePemAndOtherKeysAreRefused) {
  const PrivateKey again = *PrivateKey::FromPem(*key_.ToPem());
  EXPECT_EQ(EVP_PKEY_eq(again.get(), key_.get()), 1);
  EXPECT_FALSE(CheckKeyMatches(Issue(site_), *PrivateKey::Generate()).ok());
  EXPECT_FALSE(PrivateKey::FromPem("garbage").ok());
  EXPECT_FALSE(CertificateFingerprint("garbage").ok());
}

}  // namespace
}  // namespace tributary::security

#include "security/certificate_builder.h"

#include <openssl/rand.h>

namespace tributary::security {
namespace {

bool SetRandomSerial(X509* certificate) {
  const BignumPtr number(BN_new());
  return number && BN_rand(number.get(), 128, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
         BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

bool SetTime(ASN1_TIME* field, Timestamp time) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time).time_since_epoch();
  return ASN1_TIME_set(field, seconds.count()) != nullptr;
}

}  // namespace

CertificateBuilder::CertificateBuilder(EVP_PKEY* subject_key, const Validity& validity)
    : certificate_(X509_new()) {
  Require(certificate_ != nullptr, "make a certificate");
  if (!status_.ok()) return;
  if (validity.not_after <= validity.not_before) {
    status_ =
        InvalidArgumentError("a certificate cannot end (" + FormatTimestamp(validity.not_after) +
                             ") before it begins (" + FormatTimestamp(validity.not_before) + ")");
    return;
  }
  X509* certificate = certificate_.get();
  Require(X509_set_version(certificate, X509_VERSION_3) == 1, "set the version");
  Require(SetRandomSerial(certificate), "make a serial number");
  Require(SetTime(X509_getm_notBefore(certificate), validity.not_before) &&
              SetTime(X509_getm_notAfter(certificate), validity.not_after),
          "set the validity");
  Require(X509_set_pubkey(certificate, subject_key) == 1, "set the public key");
}

void CertificateBuilder::Require(bool done, std::string_view what) {
  if (!done && status_.ok()) status_ = OpenSslError(StatusCode::kInternal, what);
}

void CertificateBuilder::SetSubject(const std::vector<std::pair<const char*, std::string>>& parts) {
  if (!status_.ok()) return;
  X509_NAME* name = X509_get_subject_name(certificate_.get());
  for (const auto& [field, value] : parts) {
    Require(X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8,
                                       reinterpret_cast<const unsigned char*>(value.data()),
                                       static_cast<int>(value.size()), -1, 0) == 1,
            "set the subject");
  }
}

void CertificateBuilder::SetIssuer(X509* issuer) {
  if (!status_.ok()) return;
  issuer_ = issuer != nullptr ? issuer : certificate_.get();
  Require(X509_set_issuer_name(certificate_.get(), X509_get_subject_name(issuer_)) == 1,
          "set the issuer");
  Extend(NID_subject_key_identifier, "hash");
  Extend(NID_authority_key_identifier, "keyid:always");
}

void CertificateBuilder::Extend(int nid, const std::string& value) {
  if (!status_.ok()) return;
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer_, certificate_.get(), nullptr, nullptr, 0);
  const ExtensionPtr extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  Require(extension && X509_add_ext(certificate_.get(), extension.get(), -1) == 1,
          "add a certificate extension");
}

Result<std::string> CertificateBuilder::Sign(EVP_PKEY* issuer_key) && {
  if (!status_.ok()) return status_;
  Require(X509_sign(certificate_.get(), issuer_key, EVP_sha256()) > 0, "sign a certificate");
  if (!status_.ok()) return status_;
  return CertificateToPem(certificate_.get());
}

}  // namespace tributary::security

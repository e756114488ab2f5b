#include "security/pki.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <array>
#include <ctime>
#include <optional>

#include "core/text.h"
#include "security/certificate_builder.h"
#include "security/openssl.h"

namespace tributary::security {
namespace {

Status CheckIsP256(EVP_PKEY* key, std::string_view what) {
  std::array<char, 64> group{};
  if (key == nullptr || EVP_PKEY_get_base_id(key) != EVP_PKEY_EC ||
      EVP_PKEY_get_group_name(key, group.data(), group.size(), nullptr) != 1 ||
      std::string_view(group.data()) != "prime256v1") {
    ERR_clear_error();
    return InvalidArgumentError(std::string(what) + " is not an EC P-256 key");
  }
  return OkStatus();
}

// The public key of a request that its private key signed.
Result<PkeyPtr> VerifiedPublicKey(std::string_view request_pem) {
  const BioPtr bio = MemoryBio(request_pem);
  const X509ReqPtr request(PEM_read_bio_X509_REQ(bio.get(), nullptr, nullptr, nullptr));
  if (!request) {
    return OpenSslError(StatusCode::kInvalidArgument, "not a PEM certificate request");
  }
  PkeyPtr key(X509_REQ_get_pubkey(request.get()));
  TRIBUTARY_RETURN_IF_ERROR(CheckIsP256(key.get(), "the certificate request's key"));
  if (X509_REQ_verify(request.get(), key.get()) != 1) {
    ERR_clear_error();
    return InvalidArgumentError("the certificate request is not signed by its own key");
  }
  return key;
}

bool IsIpAddress(const std::string& name) {
  ASN1_OCTET_STRING* address = a2i_IPADDRESS(name.c_str());
  ASN1_OCTET_STRING_free(address);
  ERR_clear_error();
  return address != nullptr;
}

bool IsDnsName(std::string_view name) {
  if (name.empty() || name.size() > 253 || name[0] == '.' || name[0] == '-') return false;
  for (const char c : name) {
    const bool allowed = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                         (c >= '0' && c <= '9') || c == '-' || c == '.';
    if (!allowed) return false;
  }
  return true;
}

// What OpenSSL's configuration syntax calls these names. Each is checked before it goes into that
// syntax.
Result<std::string> ServerNamesExtension(std::span<const std::string> names) {
  if (names.empty()) return InvalidArgumentError("a server certificate needs at least one name");
  std::string text;
  for (const std::string& name : names) {
    const bool ip = IsIpAddress(name);
    if (!ip && !IsDnsName(name)) {
      return InvalidArgumentError("server name \"" + Excerpt(name) +
                                  "\" is neither a DNS name nor an IP address");
    }
    text.append(text.empty() ? "" : ",").append(ip ? "IP:" : "DNS:").append(name);
  }
  return text;
}

Result<Timestamp> ToTimestamp(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) {
    return OpenSslError(StatusCode::kInvalidArgument, "time in a certificate");
  }
  return Timestamp(std::chrono::seconds(timegm(&parts)));
}

std::string Ia5Text(const ASN1_IA5STRING* text) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
          static_cast<std::size_t>(ASN1_STRING_length(text))};
}

}  // namespace

Result<PrivateKey> PrivateKey::Generate() {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  if (key == nullptr) return OpenSslError(StatusCode::kInternal, "generate a key");
  return PrivateKey(std::shared_ptr<EVP_PKEY>(key, &EVP_PKEY_free));
}

Result<PrivateKey> PrivateKey::FromPem(std::string_view pem) {
  const BioPtr bio = MemoryBio(pem);
  // An empty password instead of a callback: the default one would ask on the terminal.
  PkeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, const_cast<char*>("")));
  if (!key) return OpenSslError(StatusCode::kInvalidArgument, "not a PEM private key");
  TRIBUTARY_RETURN_IF_ERROR(CheckIsP256(key.get(), "the private key"));
  return PrivateKey(std::shared_ptr<EVP_PKEY>(key.release(), &EVP_PKEY_free));
}

Result<std::string> PrivateKey::ToPem() const {
  const BioPtr bio(BIO_new(BIO_s_secmem()));
  if (!bio ||
      PEM_write_bio_PKCS8PrivateKey(bio.get(), get(), nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return OpenSslError(StatusCode::kInternal, "write a private key");
  }
  return BioText(bio.get());
}

Validity ValidFrom(Timestamp now, std::chrono::seconds lifetime) {
  return {now - std::chrono::minutes(5), now + lifetime};
}

Result<CertificateAuthority> CreateCertificateAuthority(std::string_view federation,
                                                        const Validity& validity) {
  TRIBUTARY_RETURN_IF_ERROR(CheckName("federation", federation));
  TRIBUTARY_ASSIGN_OR_RETURN(PrivateKey key, PrivateKey::Generate());
  CertificateBuilder builder(key.get(), validity);
  builder.SetSubject({{"O", std::string(federation)}, {"CN", "Tributary CA"}});
  builder.SetIssuer(nullptr);
  builder.Extend(NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
  builder.Extend(NID_key_usage, "critical,keyCertSign,cRLSign");
  TRIBUTARY_ASSIGN_OR_RETURN(std::string pem, std::move(builder).Sign(key.get()));
  return CertificateAuthority{std::move(pem), std::move(key)};
}

Result<std::string> MakeCertificateRequest(const PrivateKey& key) {
  const X509ReqPtr request(X509_REQ_new());
  const BioPtr bio(BIO_new(BIO_s_mem()));
  const bool made = request && bio &&
                    X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) == 1 &&
                    X509_REQ_set_pubkey(request.get(), key.get()) == 1 &&
                    X509_REQ_sign(request.get(), key.get(), EVP_sha256()) > 0 &&
                    PEM_write_bio_X509_REQ(bio.get(), request.get()) == 1;
  if (!made) return OpenSslError(StatusCode::kInternal, "make a certificate request");
  return BioText(bio.get());
}

Result<std::string> IssueServerCertificate(const CertificateAuthority& authority,
                                           std::string_view request_pem,
                                           std::span<const std::string> names,
                                           const Validity& validity) {
  TRIBUTARY_ASSIGN_OR_RETURN(const PkeyPtr key, VerifiedPublicKey(request_pem));
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string alternative_names, ServerNamesExtension(names));
  TRIBUTARY_ASSIGN_OR_RETURN(const X509Ptr ca, ParseCertificate(authority.certificate_pem));
  CertificateBuilder builder(key.get(), validity);
  builder.SetSubject({{"CN", "tributary-server"}});
  builder.SetIssuer(ca.get());
  builder.Extend(NID_basic_constraints, "critical,CA:FALSE");
  builder.Extend(NID_key_usage, "critical,digitalSignature");
  builder.Extend(NID_ext_key_usage, "serverAuth");
  builder.Extend(NID_subject_alt_name, alternative_names);
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string leaf, std::move(builder).Sign(authority.key.get()));
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string root, CertificateToPem(ca.get()));
  return leaf + root;
}

Result<std::string> IssueMemberCertificate(const CertificateAuthority& authority,
                                           std::string_view request_pem, const Identity& identity,
                                           const Validity& validity) {
  TRIBUTARY_RETURN_IF_ERROR(CheckIdentity(identity));
  TRIBUTARY_ASSIGN_OR_RETURN(const PkeyPtr key, VerifiedPublicKey(request_pem));
  TRIBUTARY_ASSIGN_OR_RETURN(const X509Ptr ca, ParseCertificate(authority.certificate_pem));
  CertificateBuilder builder(key.get(), validity);
  builder.SetSubject({{"O", identity.federation},
                      {"OU", std::string(RoleName(identity.role))},
                      {"CN", identity.name}});
  builder.SetIssuer(ca.get());
  builder.Extend(NID_basic_constraints, "critical,CA:FALSE");
  builder.Extend(NID_key_usage, "critical,digitalSignature");
  builder.Extend(NID_ext_key_usage, "clientAuth");
  builder.Extend(NID_subject_alt_name, "URI:" + identity.ToUri());
  return std::move(builder).Sign(authority.key.get());
}

Result<std::string> CertificateFingerprint(std::string_view certificate_pem) {
  TRIBUTARY_ASSIGN_OR_RETURN(const X509Ptr certificate, ParseCertificate(certificate_pem));
  return FingerprintOf(certificate.get());
}

Result<Identity> CertificateIdentity(std::string_view certificate_pem) {
  TRIBUTARY_ASSIGN_OR_RETURN(const X509Ptr certificate, ParseCertificate(certificate_pem));
  const NamesPtr names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate.get(), NID_subject_alt_name, nullptr, nullptr)));
  // One name of one kind: a certificate that says more was not made by our issuer.
  if (!names || sk_GENERAL_NAME_num(names.get()) != 1) {
    ERR_clear_error();
    return InvalidArgumentError("the certificate names no member of a federation");
  }
  const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), 0);
  if (name->type != GEN_URI) {
    return InvalidArgumentError("the certificate names no member of a federation");
  }
  return ParseIdentityUri(Ia5Text(name->d.uniformResourceIdentifier));
}

Result<Validity> CertificateValidity(std::string_view certificate_pem) {
  TRIBUTARY_ASSIGN_OR_RETURN(const X509Ptr certificate, ParseCertificate(certificate_pem));
  TRIBUTARY_ASSIGN_OR_RETURN(const Timestamp from,
                             ToTimestamp(X509_get0_notBefore(certificate.get())));
  TRIBUTARY_ASSIGN_OR_RETURN(const Timestamp until,
                             ToTimestamp(X509_get0_notAfter(certificate.get())));
  return Validity{from, until};
}

Result<std::string> CertificateSerial(std::string_view certificate_pem) {
  TRIBUTARY_ASSIGN_OR_RETURN(const X509Ptr certificate, ParseCertificate(certificate_pem));
  const BignumPtr number(ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate.get()), nullptr));
  char* hex = number ? BN_bn2hex(number.get()) : nullptr;
  if (hex == nullptr) return OpenSslError(StatusCode::kInternal, "serial of a certificate");
  std::string text(hex);
  OPENSSL_free(hex);
  for (char& c : text) {
    if (c >= 'A' && c <= 'F') c = static_cast<char>(c + 32);
  }
  return text;
}

Status CheckKeyMatches(std::string_view certificate_pem, const PrivateKey& key) {
  TRIBUTARY_ASSIGN_OR_RETURN(const X509Ptr certificate, ParseCertificate(certificate_pem));
  if (X509_check_private_key(certificate.get(), key.get()) == 1) return OkStatus();
  ERR_clear_error();
  return InvalidArgumentError("the private key does not belong to the certificate");
}

}  // namespace tributary::security

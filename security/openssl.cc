#include "security/openssl.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <array>

namespace tributary::security {

Status OpenSslError(StatusCode code, std::string_view what) {
  std::string message(what);
  if (const char* reason = ERR_reason_error_string(ERR_peek_error())) {
    message.append(": ").append(reason);
  }
  ERR_clear_error();
  return {code, std::move(message)};
}

BioPtr MemoryBio(std::string_view bytes) {
  return BioPtr(BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size())));
}

std::string BioText(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return size > 0 ? std::string(data, static_cast<std::size_t>(size)) : std::string();
}

Result<X509Ptr> ParseCertificate(std::string_view pem) {
  const BioPtr bio = MemoryBio(pem);
  X509Ptr certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  if (!certificate) return OpenSslError(StatusCode::kInvalidArgument, "not a PEM certificate");
  return certificate;
}

Result<std::string> CertificateToPem(X509* certificate) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  if (!bio || PEM_write_bio_X509(bio.get(), certificate) != 1) {
    return OpenSslError(StatusCode::kInternal, "write a certificate");
  }
  return BioText(bio.get());
}

Result<std::string> FingerprintOf(X509* certificate) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  if (X509_digest(certificate, EVP_sha256(), digest.data(), &size) != 1) {
    return OpenSslError(StatusCode::kInternal, "fingerprint of a certificate");
  }
  std::string text = "SHA256:";
  for (unsigned int i = 0; i < size; ++i) {
    text += kHex[digest[i] >> 4];
    text += kHex[digest[i] & 15];
  }
  return text;
}

}  // namespace tributary::security

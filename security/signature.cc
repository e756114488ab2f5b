#include "security/signature.h"

#include <openssl/err.h>

#include "security/openssl.h"

namespace tributary::security {
namespace {

const unsigned char* Bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

}  // namespace

Result<std::string> Sign(const PrivateKey& key, std::string_view bytes) {
  const DigestPtr context(EVP_MD_CTX_new());
  std::string signature(static_cast<std::size_t>(EVP_PKEY_get_size(key.get())), '\0');
  std::size_t size = signature.size();
  const bool done =
      context &&
      EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key.get()) == 1 &&
      EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size,
                     Bytes(bytes), bytes.size()) == 1;
  if (!done) return OpenSslError(StatusCode::kInternal, "sign");
  signature.resize(size);
  return signature;
}

Status Verify(std::string_view certificate_pem, std::string_view bytes,
              std::string_view signature) {
  TRIBUTARY_ASSIGN_OR_RETURN(const X509Ptr certificate, ParseCertificate(certificate_pem));
  const DigestPtr context(EVP_MD_CTX_new());
  EVP_PKEY* key = X509_get0_pubkey(certificate.get());
  if (!context || key == nullptr ||
      EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, key) != 1) {
    return OpenSslError(StatusCode::kInvalidArgument, "the certificate's key cannot verify");
  }
  const int verdict = EVP_DigestVerify(context.get(), Bytes(signature), signature.size(),
                                       Bytes(bytes), bytes.size());
  ERR_clear_error();
  if (verdict == 1) return OkStatus();
  return UnauthenticatedError("the signature is not by the certificate's key over these bytes");
}

}  // namespace tributary::security

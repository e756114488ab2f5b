// OpenSSL objects with owners, and its errors as values. For the sources of this folder and their
// tests.
#pragma once

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>
#include <string_view>

#include "core/status.h"

namespace tributary::security {

template <auto Free>
struct OpenSslDeleter {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};

using BignumPtr = std::unique_ptr<BIGNUM, OpenSslDeleter<BN_free>>;
using BioPtr = std::unique_ptr<BIO, OpenSslDeleter<BIO_free_all>>;
using DigestPtr = std::unique_ptr<EVP_MD_CTX, OpenSslDeleter<EVP_MD_CTX_free>>;
using ExtensionPtr = std::unique_ptr<X509_EXTENSION, OpenSslDeleter<X509_EXTENSION_free>>;
using NamesPtr = std::unique_ptr<GENERAL_NAMES, OpenSslDeleter<GENERAL_NAMES_free>>;
using PkeyPtr = std::unique_ptr<EVP_PKEY, OpenSslDeleter<EVP_PKEY_free>>;
using SslCtxPtr = std::unique_ptr<SSL_CTX, OpenSslDeleter<SSL_CTX_free>>;
using SslPtr = std::unique_ptr<SSL, OpenSslDeleter<SSL_free>>;
using X509Ptr = std::unique_ptr<X509, OpenSslDeleter<X509_free>>;
using X509ReqPtr = std::unique_ptr<X509_REQ, OpenSslDeleter<X509_REQ_free>>;

// "<what>: <the first error of this thread's queue>"; empties the queue.
Status OpenSslError(StatusCode code, std::string_view what);

BioPtr MemoryBio(std::string_view bytes);  // reads the bytes, which outlive it
std::string BioText(BIO* bio);             // what was written to a memory BIO

// The first certificate of PEM text. The error says what the text is instead, never its content.
Result<X509Ptr> ParseCertificate(std::string_view pem);
Result<std::string> CertificateToPem(X509* certificate);

// "SHA256:<64 hex digits>" of the DER form.
Result<std::string> FingerprintOf(X509* certificate);

}  // namespace tributary::security

#include "security/enrollment_token.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <array>

#include "core/sha256.h"
#include "security/openssl.h"

namespace tributary::security {
namespace {

constexpr std::size_t kTokenBytes = 32;

std::string Base64Url(const std::array<unsigned char, kTokenBytes>& bytes) {
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string text;
  unsigned int bits = 0;
  int held = 0;
  for (const unsigned char byte : bytes) {
    bits = (bits << 8) | byte;
    for (held += 8; held >= 6; held -= 6) text += kAlphabet[(bits >> (held - 6)) & 63];
  }
  if (held > 0) text += kAlphabet[(bits << (6 - held)) & 63];
  return text;
}

}  // namespace

Result<std::string> NewEnrollmentToken() {
  std::array<unsigned char, kTokenBytes> bytes{};
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) {
    return OpenSslError(StatusCode::kInternal, "no random bytes for a token");
  }
  std::string token = Base64Url(bytes);
  OPENSSL_cleanse(bytes.data(), bytes.size());
  return token;
}

std::string HashEnrollmentToken(std::string_view token) { return Sha256Of(token).ToHex(); }

Status JudgeEnrollmentToken(const std::optional<TokenRecord>& record, std::string_view presented,
                            Timestamp now) {
  const std::string hash = HashEnrollmentToken(presented);
  const bool known = record && record->hash.size() == hash.size() &&
                     CRYPTO_memcmp(record->hash.data(), hash.data(), hash.size()) == 0;
  if (!known) return UnauthenticatedError("enrollment token is unknown");
  if (record->used_at) {
    return UnauthenticatedError("enrollment token was already used at " +
                                FormatTimestamp(*record->used_at));
  }
  if (now >= record->expires) {
    return UnauthenticatedError("enrollment token expired at " + FormatTimestamp(record->expires));
  }
  return OkStatus();
}

}  // namespace tributary::security

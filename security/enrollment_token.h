// One-time secrets that let a new member ask for its certificate. The server stores only their
// hashes.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/clock.h"
#include "core/status.h"
#include "security/identity.h"

namespace tributary::security {

// 32 random bytes in base64url: 43 characters.
Result<std::string> NewEnrollmentToken();

// SHA-256 of the token's text, in hex. The token has 256 bits of its own: no salt, no stretching.
std::string HashEnrollmentToken(std::string_view token);

// What the server keeps of a token.
struct TokenRecord {
  std::string hash;
  Role role = Role::kSite;
  std::string name;  // of the member-to-be
  Timestamp expires;
  std::optional<Timestamp> used_at;
};

// May the presented token be used now? `record` is what is stored under its hash, if anything.
// kUnauthenticated, with the reason for the log: unknown, expired, already used. Never quotes the
// token.
Status JudgeEnrollmentToken(const std::optional<TokenRecord>& record, std::string_view presented,
                            Timestamp now);

}  // namespace tributary::security

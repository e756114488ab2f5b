// Enrollment tokens: one-time, expiring, stored as hashes.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/mutex.h"
#include "core/sqlite.h"
#include "security/enrollment_token.h"

namespace tributary::server {

// Thread-safe; calls touch the disk.
class TokenStore {
 public:
  static Result<std::unique_ptr<TokenStore>> Open(const std::string& path);

  // The token's text, for its bearer only; it cannot be had again.
  Result<std::string> Create(security::Role role, const std::string& name, Timestamp now,
                             std::chrono::seconds valid);
  // Calls `use` with whom the token is for; when that succeeds, marks the token as used, durably.
  // Unauthenticated, with the reason, when it cannot be used.
  Result<security::TokenRecord> Redeem(
      const std::string& token, Timestamp now,
      const std::function<Status(const security::TokenRecord&)>& use);
  // Names of the sites whose tokens were used.
  Result<std::vector<std::string>> JoinedSites();

 private:
  explicit TokenStore(Database database) : database_(std::move(database)) {}

  Mutex mutex_;
  Database database_ TRIBUTARY_GUARDED_BY(mutex_);
};

}  // namespace tributary::server

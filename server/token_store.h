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

  struct Created {
    std::string token;               // its text, for its bearer only; it cannot be had again
    std::vector<std::string> notes;  // what it means for others of that name
  };
  // Earlier tokens of that role and name that were not used are good no more: one name, one token.
  Result<Created> Create(security::Role role, const std::string& name, Timestamp now,
                         std::chrono::seconds valid);
  // Calls `use` with whom the token is for; when that succeeds, marks the token as used, durably.
  // Unauthenticated, with the reason, when it cannot be used.
  Result<security::TokenRecord> Redeem(
      const std::string& token, Timestamp now,
      const std::function<Status(const security::TokenRecord&)>& use);
  // Names of the sites whose tokens were used.
  Result<std::vector<std::string>> JoinedSites();

 private:
  // What another token for this role and name means.
  Result<std::vector<std::string>> NotesOn(security::Role role, const std::string& name,
                                           Timestamp now) TRIBUTARY_REQUIRES(mutex_);

  explicit TokenStore(Database database) : database_(std::move(database)) {}

  Mutex mutex_;
  Database database_ TRIBUTARY_GUARDED_BY(mutex_);
};

}  // namespace tributary::server

#include "server/token_store.h"

#include <array>

namespace tributary::server {
namespace {

constexpr std::array<const char*, 1> kTokenSteps = {
    "CREATE TABLE IF NOT EXISTS tokens (hash TEXT PRIMARY KEY, role TEXT NOT NULL, "
    "name TEXT NOT NULL, expires_us INTEGER NOT NULL, used_us INTEGER NOT NULL DEFAULT 0)"};

}  // namespace

Result<std::unique_ptr<TokenStore>> TokenStore::Open(const std::string& path) {
  TRIBUTARY_ASSIGN_OR_RETURN(Database database, Database::Open(path));
  TRIBUTARY_RETURN_IF_ERROR(database.Migrate(kTokenSteps));
  return std::unique_ptr<TokenStore>(new TokenStore(std::move(database)));
}

Result<std::vector<std::string>> TokenStore::NotesOn(security::Role role, const std::string& name,
                                                     Timestamp now) {
  TRIBUTARY_ASSIGN_OR_RETURN(
      Statement select,
      database_.Prepare("SELECT SUM(used_us = 0 AND expires_us > ?), SUM(used_us <> 0) "
                        "FROM tokens WHERE role = ? AND name = ?"));
  select.Bind(1, ToMicros(now)).Bind(2, security::RoleName(role)).Bind(3, name);
  TRIBUTARY_RETURN_IF_ERROR(select.Step().status());
  std::vector<std::string> notes;
  if (select.Int(0) > 0) notes.push_back("the earlier token for " + name + " is good no more");
  if (select.Int(1) > 0) {
    notes.push_back(name + " has joined already; whoever uses this token is " + name +
                    " too, beside the one who has its certificate");
  }
  return notes;
}

Result<TokenStore::Created> TokenStore::Create(security::Role role, const std::string& name,
                                               Timestamp now, std::chrono::seconds valid) {
  TRIBUTARY_RETURN_IF_ERROR(security::CheckName("name", name));
  TRIBUTARY_ASSIGN_OR_RETURN(std::string token, security::NewEnrollmentToken());
  MutexLock lock(mutex_);
  Created created{token, {}};
  TRIBUTARY_ASSIGN_OR_RETURN(created.notes, NotesOn(role, name, now));
  TRIBUTARY_ASSIGN_OR_RETURN(
      Statement remove,
      database_.Prepare("DELETE FROM tokens WHERE role = ? AND name = ? AND used_us = 0"));
  remove.Bind(1, security::RoleName(role)).Bind(2, name);
  TRIBUTARY_RETURN_IF_ERROR(remove.Run());
  TRIBUTARY_ASSIGN_OR_RETURN(
      Statement insert,
      database_.Prepare("INSERT INTO tokens (hash, role, name, expires_us) VALUES (?, ?, ?, ?)"));
  insert.Bind(1, security::HashEnrollmentToken(token))
      .Bind(2, security::RoleName(role))
      .Bind(3, name)
      .Bind(4, ToMicros(now + valid));
  TRIBUTARY_RETURN_IF_ERROR(insert.Run());
  return created;
}

Result<security::TokenRecord> TokenStore::Redeem(
    const std::string& token, Timestamp now,
    const std::function<Status(const security::TokenRecord&)>& use) {
  MutexLock lock(mutex_);
  TRIBUTARY_ASSIGN_OR_RETURN(
      Statement select,
      database_.Prepare("SELECT role, name, expires_us, used_us FROM tokens WHERE hash = ?"));
  std::optional<security::TokenRecord> record;
  const std::string hash = security::HashEnrollmentToken(token);
  select.Bind(1, hash);
  TRIBUTARY_ASSIGN_OR_RETURN(const bool found, select.Step());
  if (found) {
    TRIBUTARY_ASSIGN_OR_RETURN(const security::Role role, security::ParseRole(select.Text(0)));
    record = security::TokenRecord{hash, role, select.Text(1), TimestampFromMicros(select.Int(2)),
                                   std::nullopt};
    if (select.Int(3) != 0) record->used_at = TimestampFromMicros(select.Int(3));
  }
  select.Reset();
  TRIBUTARY_RETURN_IF_ERROR(security::JudgeEnrollmentToken(record, token, now));
  TRIBUTARY_RETURN_IF_ERROR(use(*record));
  TRIBUTARY_ASSIGN_OR_RETURN(Statement update,
                             database_.Prepare("UPDATE tokens SET used_us = ? WHERE hash = ?"));
  update.Bind(1, ToMicros(now)).Bind(2, hash);
  TRIBUTARY_RETURN_IF_ERROR(update.Run());
  return *record;
}

Result<std::vector<std::string>> TokenStore::JoinedSites() {
  MutexLock lock(mutex_);
  TRIBUTARY_ASSIGN_OR_RETURN(
      Statement select,
      database_.Prepare("SELECT DISTINCT name FROM tokens WHERE role = ? AND used_us <> 0"));
  select.Bind(1, security::RoleName(security::Role::kSite));
  std::vector<std::string> names;
  while (true) {
    TRIBUTARY_ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) return names;
    names.push_back(select.Text(0));
  }
}

}  // namespace tributary::server

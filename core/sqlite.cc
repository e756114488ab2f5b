#include "core/sqlite.h"

#include <sqlite3.h>
#include <sys/vfs.h>
#include <algorithm>

#include <array>
#include <utility>

#include "core/files.h"

namespace tributary {
namespace {

Status SqliteError(sqlite3* database, int code, std::string_view what) {
  std::string message(what);
  message += ": ";
  message += database != nullptr ? sqlite3_errmsg(database) : sqlite3_errstr(code);
  switch (code & 0xff) {
    case SQLITE_FULL:
      return ResourceExhaustedError(message + "; free some disk space");
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return FailedPreconditionError(message + "; another process has it open");
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return DataLossError(std::move(message));
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
      return PermissionDeniedError(std::move(message));
    default:
      return InternalError(std::move(message));
  }
}

// statfs(2) magic numbers of file systems on which a lock is another machine's promise.
constexpr std::array<std::pair<unsigned long, const char*>, 8> kNetworkFilesystems = {{
    {0x6969, "nfs"},
    {0x0BD00BD0, "lustre"},
    {0x47504653, "gpfs"},
    {0xFF534D42, "cifs"},
    {0xFE534D42, "smb2"},
    {0x00C36400, "ceph"},
    {0x19830326, "beegfs"},
    {0x5346414F, "afs"},
}};

}  // namespace

void Statement::Finalize::operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
void Database::Close::operator()(sqlite3* database) const { sqlite3_close_v2(database); }

Statement& Statement::Bind(int index, std::int64_t value) {
  sqlite3_bind_int64(statement_.get(), index, value);
  return *this;
}

Statement& Statement::Bind(int index, std::string_view value) {
  if (value.data() == nullptr) value = "";  // SQLite would store NULL
  sqlite3_bind_text64(statement_.get(), index, value.data(), value.size(), SQLITE_TRANSIENT,
                      SQLITE_UTF8);
  return *this;
}

Statement& Statement::BindBytes(int index, std::string_view bytes) {
  if (bytes.data() == nullptr) bytes = "";
  sqlite3_bind_blob64(statement_.get(), index, bytes.data(), bytes.size(), SQLITE_TRANSIENT);
  return *this;
}

Result<bool> Statement::Step() {
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return SqliteError(sqlite3_db_handle(statement_.get()), code, "sqlite");
}

Status Statement::Run() {
  while (true) {
    const Result<bool> row = Step();
    if (row.ok() && *row) continue;
    Reset();
    return row.status();
  }
}

void Statement::Reset() {
  sqlite3_reset(statement_.get());
  sqlite3_clear_bindings(statement_.get());
}

std::int64_t Statement::Int(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

std::string Statement::Text(int column) const {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_.get(), column));
  if (bytes == nullptr) return {};
  return {bytes, static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column))};
}

Result<Database> Database::Open(const std::string& path) {
  Database database;
  database.path_ = path;
  sqlite3* handle = nullptr;
  const int code =
      sqlite3_open_v2(path.c_str(), &handle,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  database.database_.reset(handle);
  if (code != SQLITE_OK) return SqliteError(handle, code, "open " + path);
  sqlite3_extended_result_codes(handle, 1);
  // Exclusive locking: one process per file, and no shared-memory file, which network file systems
  // do not support.
  TRIBUTARY_RETURN_IF_ERROR(database.Execute(
      "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; "
      "BEGIN IMMEDIATE; COMMIT;"));
  return database;
}

Status Database::Migrate(std::span<const char* const> steps) {
  TRIBUTARY_ASSIGN_OR_RETURN(Statement version, Prepare("PRAGMA user_version"));
  TRIBUTARY_RETURN_IF_ERROR(version.Step().status());
  const std::int64_t done = std::max<std::int64_t>(version.Int(0), 0);
  version.Reset();
  if (done > static_cast<std::int64_t>(steps.size())) {
    return FailedPreconditionError(path_ + ": is of version " + std::to_string(done) +
                                   "; this program knows those up to " +
                                   std::to_string(steps.size()) + ": use a later one");
  }
  for (auto step = static_cast<std::size_t>(done); step < steps.size(); ++step) {
    const Status taken = Execute(std::string("BEGIN IMMEDIATE;") + steps[step] +
                                 ";PRAGMA user_version=" + std::to_string(step + 1) + ";COMMIT");
    if (taken.ok()) continue;
    (void)Execute("ROLLBACK");
    return taken;
  }
  return OkStatus();
}

Status Database::Execute(const std::string& sql) {
  const int code = sqlite3_exec(database_.get(), sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return SqliteError(database_.get(), code, path_);
  return OkStatus();
}

Result<Statement> Database::Prepare(std::string_view sql) {
  sqlite3_stmt* handle = nullptr;
  const int code = sqlite3_prepare_v3(database_.get(), sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &handle, nullptr);
  if (code != SQLITE_OK) return SqliteError(database_.get(), code, path_);
  Statement statement;
  statement.statement_.reset(handle);
  return statement;
}

std::int64_t Database::LastInsertId() const { return sqlite3_last_insert_rowid(database_.get()); }

std::string NetworkFilesystemOf(const std::string& path) {
  struct statfs info {};
  if (statfs(path.c_str(), &info) != 0) return {};
  for (const auto& [magic, name] : kNetworkFilesystems) {
    if (static_cast<unsigned long>(info.f_type) == magic) return name;
  }
  return {};
}

}  // namespace tributary

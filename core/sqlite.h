// SQLite behind RAII: write-ahead log, synchronous FULL, one process per database file.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "core/status.h"

struct sqlite3;
struct sqlite3_stmt;

namespace tributary {

// A prepared statement. Parameters are bound from 1, columns read from 0. After an error or the
// last row call Reset() to use it again. Used by one thread at a time; does not outlive its
// Database.
class Statement {
 public:
  Statement& Bind(int index, std::int64_t value);
  Statement& Bind(int index, std::string_view value);
  Statement& BindBytes(int index, std::string_view bytes);
  // True: a row is there; false: done.
  Result<bool> Step();
  // For statements without rows: steps to the end and resets.
  Status Run();
  void Reset();

  std::int64_t Int(int column) const;
  std::string Text(int column) const;  // text or bytes

 private:
  friend class Database;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

// Used by one thread at a time.
class Database {
 public:
  // Opens or creates the file. Failed precondition when another process has it open (a second
  // daemon on one directory).
  static Result<Database> Open(const std::string& path);

  // Brings the file's schema forward: `steps` are SQL, of which each is taken once, in order, with
  // all that it changes or nothing; how many were taken is the file's user_version. Steps are only
  // ever added. Failed precondition, with both numbers named, when a later program has taken more.
  Status Migrate(std::span<const char* const> steps);

  // Runs SQL without parameters or rows (schema, BEGIN, COMMIT, ...).
  Status Execute(const std::string& sql);
  Result<Statement> Prepare(std::string_view sql);
  std::int64_t LastInsertId() const;

 private:
  struct Close {
    void operator()(sqlite3* database) const;
  };
  std::unique_ptr<sqlite3, Close> database_;
  std::string path_;
};

// The name of the network file system that holds `path` ("nfs", "lustre", ...), or "" on a local
// disk. SQLite's locks are not reliable there: say so to the person who chose the path.
std::string NetworkFilesystemOf(const std::string& path);

}  // namespace tributary

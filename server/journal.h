// The journal: every event, in order, durable. State is its fold.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/sqlite.h"
#include "core/status.h"

namespace tributary::server {

struct JournalEntry {
  std::int64_t sequence = 0;
  Timestamp at;
  std::string event_json;
};

// Used by one thread at a time.
class Journal {
 public:
  // Opens or creates `path`. Failed precondition when another server uses it.
  static Result<Journal> Open(const std::string& path);

  // Appends all entries in one transaction; durable on OK, absent otherwise. Sequence numbers are
  // assigned here.
  Status Append(const std::vector<JournalEntry>& entries);
  // Calls `visit` with each entry after sequence number `after`, oldest first, at most `limit` of
  // them; stops at its first error.
  Status Read(const std::function<Status(const JournalEntry&)>& visit, std::int64_t after = 0,
              std::int64_t limit = INT64_MAX);

 private:
  Journal(Database database, Statement insert)
      : database_(std::move(database)), insert_(std::move(insert)) {}

  Database database_;
  Statement insert_;
};

}  // namespace tributary::server

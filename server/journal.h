// The journal: every event, in order, durable. State is its fold.
//
// Beside the database lies "<path>.mark": the number of its last entry, written over after each
// commit. A database that lost its write-ahead file, its tail or all it had is behind its mark.
//
// Snapshots of the state lie in the database as well. Each names the entry that it was taken after
// and that entry's digest; whoever has one folds the entries after it.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "core/files.h"
#include "core/sqlite.h"
#include "core/status.h"

namespace tributary::server {

struct JournalEntry {
  std::int64_t sequence = 0;
  Timestamp at;
  std::string event_json;
};

struct Snapshot {
  std::int64_t sequence = 0;  // of the last entry in it
  std::string state;
};

// Used by one thread at a time.
class Journal {
 public:
  // Opens or creates `path`. Failed precondition when another server uses it; data loss when it has
  // less than it had.
  static Result<Journal> Open(const std::string& path);

  // Appends all entries in one transaction; durable on OK, absent otherwise. Sequence numbers are
  // assigned here.
  Status Append(const std::vector<JournalEntry>& entries);
  // The sequence number of the last entry; 0: there is none.
  std::int64_t last() const { return last_; }
  // Calls `visit` with each entry after sequence number `after`, oldest first, at most `limit` of
  // them; stops at its first error.
  Status Read(const std::function<Status(const JournalEntry&)>& visit, std::int64_t after = 0,
              std::int64_t limit = INT64_MAX);

  // Of the state after the last entry. The newest two are kept.
  Status WriteSnapshot(std::string_view state);
  // Those whose entry is still as it was, the newest first.
  Result<std::vector<Snapshot>> ReadSnapshots();

 private:
  Journal(Database database, Statement insert, FileDescriptor mark, std::int64_t last)
      : database_(std::move(database)),
        insert_(std::move(insert)),
        mark_(std::move(mark)),
        last_(last) {}
  void WriteMark();
  // Of an entry as it stands; empty: it is not there.
  Result<std::string> DigestOf(std::int64_t sequence);

  Database database_;
  Statement insert_;
  FileDescriptor mark_;
  std::int64_t last_ = 0;  // sequence number
};

}  // namespace tributary::server

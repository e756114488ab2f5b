#include "server/journal.h"

namespace tributary::server {

Result<Journal> Journal::Open(const std::string& path) {
  TRIBUTARY_ASSIGN_OR_RETURN(Database database, Database::Open(path));
  TRIBUTARY_RETURN_IF_ERROR(database.Execute(
      "CREATE TABLE IF NOT EXISTS journal ("
      "sequence INTEGER PRIMARY KEY, at_us INTEGER NOT NULL, event TEXT NOT NULL)"));
  TRIBUTARY_ASSIGN_OR_RETURN(Statement insert,
                             database.Prepare("INSERT INTO journal (at_us, event) VALUES (?, ?)"));
  return Journal(std::move(database), std::move(insert));
}

Status Journal::Append(const std::vector<JournalEntry>& entries) {
  TRIBUTARY_RETURN_IF_ERROR(database_.Execute("BEGIN IMMEDIATE"));
  Status status;
  for (const JournalEntry& entry : entries) {
    insert_.Bind(1, ToMicros(entry.at)).Bind(2, entry.event_json);
    status = insert_.Run();
    if (!status.ok()) break;
  }
  if (status.ok()) status = database_.Execute("COMMIT");
  if (!status.ok())
    (void)database_.Execute("ROLLBACK");  // fails when SQLite has rolled back itself
  return status.Annotate("journal");
}

Status Journal::Read(const std::function<Status(const JournalEntry&)>& visit, std::int64_t after,
                     std::int64_t limit) {
  TRIBUTARY_ASSIGN_OR_RETURN(
      Statement select,
      database_.Prepare("SELECT sequence, at_us, event FROM journal WHERE sequence > ? "
                        "ORDER BY sequence LIMIT ?"));
  select.Bind(1, after).Bind(2, limit);
  while (true) {
    TRIBUTARY_ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) return OkStatus();
    TRIBUTARY_RETURN_IF_ERROR(
        visit({select.Int(0), TimestampFromMicros(select.Int(1)), select.Text(2)}));
  }
}

}  // namespace tributary::server

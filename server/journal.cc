#include "server/journal.h"

#include <fcntl.h>

#include <array>
#include <charconv>
#include <cstdio>

#include "core/log.h"
#include "core/sha256.h"

namespace tributary::server {
namespace {

constexpr std::size_t kMarkDigits = 20;  // a fixed size, so that each mark covers the last

constexpr std::array<const char*, 2> kJournalSteps = {
    "CREATE TABLE IF NOT EXISTS journal ("
    "sequence INTEGER PRIMARY KEY, at_us INTEGER NOT NULL, event TEXT NOT NULL)",
    "CREATE TABLE snapshots ("
    "sequence INTEGER PRIMARY KEY, entry_sha256 TEXT NOT NULL, state BLOB NOT NULL)"};

Result<std::int64_t> LastSequence(Database& database) {
  TRIBUTARY_ASSIGN_OR_RETURN(Statement select,
                             database.Prepare("SELECT COALESCE(MAX(sequence), 0) FROM journal"));
  TRIBUTARY_RETURN_IF_ERROR(select.Step().status());
  return select.Int(0);
}

// 0 when there is none that can be read: a power cut may leave half a mark.
std::int64_t ReadMark(const std::string& path) {
  const auto text = ReadFile(path, kMarkDigits + 1);
  std::int64_t mark = 0;
  if (text.ok()) (void)std::from_chars(text->data(), text->data() + text->size(), mark);
  return mark;
}

Status CheckMark(const std::string& path, const std::string& mark_path, std::int64_t last) {
  const std::int64_t mark = ReadMark(mark_path);
  if (mark <= last) return OkStatus();
  return DataLossError(
      path + ": has " + std::to_string(last) + " entries and had " + std::to_string(mark) +
      "; bring back " + path + " together with " + path +
      "-wal as they were, or both from a copy. To go on without what is missing, and let sites and "
      "campaigns of the missing entries be unknown, remove " +
      mark_path);
}

}  // namespace

Result<Journal> Journal::Open(const std::string& path) {
  TRIBUTARY_ASSIGN_OR_RETURN(Database database, Database::Open(path));
  TRIBUTARY_RETURN_IF_ERROR(database.Migrate(kJournalSteps));
  TRIBUTARY_ASSIGN_OR_RETURN(Statement insert,
                             database.Prepare("INSERT INTO journal (at_us, event) VALUES (?, ?)"));
  TRIBUTARY_ASSIGN_OR_RETURN(const std::int64_t last, LastSequence(database));
  const std::string mark_path = path + ".mark";
  TRIBUTARY_RETURN_IF_ERROR(CheckMark(path, mark_path, last));
  TRIBUTARY_ASSIGN_OR_RETURN(FileDescriptor mark,
                             OpenFile(mark_path, O_WRONLY | O_CREAT | O_TRUNC));
  Journal journal(std::move(database), std::move(insert), std::move(mark), last);
  journal.WriteMark();
  return journal;
}

// Not synced: after a power cut an older mark is as good, and each commit has synced enough.
void Journal::WriteMark() {
  char text[kMarkDigits + 2];
  std::snprintf(text, sizeof text, "%0*lld\n", static_cast<int>(kMarkDigits),
                static_cast<long long>(last_));
  if (const Status status = WriteAll(mark_.get(), text, kMarkDigits + 1, 0); !status.ok()) {
    LogWarning("engine", "the journal's mark cannot be written", {{"reason", status}});
  }
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
  if (status.ok()) {
    last_ += static_cast<std::int64_t>(entries.size());
    WriteMark();
  }
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

Result<std::string> Journal::DigestOf(std::int64_t sequence) {
  TRIBUTARY_ASSIGN_OR_RETURN(
      Statement select, database_.Prepare("SELECT at_us, event FROM journal WHERE sequence = ?"));
  select.Bind(1, sequence);
  TRIBUTARY_ASSIGN_OR_RETURN(const bool there, select.Step());
  if (!there) return std::string();
  return Sha256Of(std::to_string(select.Int(0)) + " " + select.Text(1)).ToHex();
}

Status Journal::WriteSnapshot(std::string_view state) {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string digest, DigestOf(last_));
  TRIBUTARY_ASSIGN_OR_RETURN(
      Statement insert,
      database_.Prepare("INSERT OR REPLACE INTO snapshots (sequence, entry_sha256, state) "
                        "VALUES (?, ?, ?)"));
  insert.Bind(1, last_).Bind(2, digest).BindBytes(3, state);
  TRIBUTARY_RETURN_IF_ERROR(insert.Run().Annotate("snapshot"));
  return database_.Execute(
      "DELETE FROM snapshots WHERE sequence NOT IN "
      "(SELECT sequence FROM snapshots ORDER BY sequence DESC LIMIT 2)");
}

Result<std::vector<Snapshot>> Journal::ReadSnapshots() {
  TRIBUTARY_ASSIGN_OR_RETURN(
      Statement select, database_.Prepare("SELECT sequence, entry_sha256, state FROM snapshots "
                                          "ORDER BY sequence DESC"));
  std::vector<Snapshot> snapshots;
  while (true) {
    TRIBUTARY_ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) return snapshots;
    const std::int64_t sequence = select.Int(0);
    TRIBUTARY_ASSIGN_OR_RETURN(const std::string digest, DigestOf(sequence));
    if (sequence == 0 || (!digest.empty() && digest == select.Text(1))) {
      snapshots.push_back({sequence, select.Text(2)});
    } else {
      LogWarning("engine", "a snapshot does not fit its journal and is not used",
                 {{"sequence", sequence}});
    }
  }
}

}  // namespace tributary::server

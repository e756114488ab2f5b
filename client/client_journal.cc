#include "client/client_journal.h"

#include <algorithm>
#include <array>

namespace tributary::client {
namespace {

constexpr const char* kSchema = R"(
  CREATE TABLE IF NOT EXISTS tasks (
    ordinal INTEGER PRIMARY KEY, task TEXT UNIQUE NOT NULL, phase INTEGER NOT NULL,
    job TEXT NOT NULL, submitted_us INTEGER NOT NULL, download_us INTEGER NOT NULL,
    assignment BLOB NOT NULL, report BLOB NOT NULL, attempt INTEGER NOT NULL,
    job_name TEXT NOT NULL, queue_us INTEGER NOT NULL, node_us INTEGER NOT NULL);
  CREATE TABLE IF NOT EXISTS offers (campaign TEXT PRIMARY KEY, offer BLOB NOT NULL);
  CREATE TABLE IF NOT EXISTS instance (name TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS visits (ordinal INTEGER PRIMARY KEY, at_us INTEGER NOT NULL);
)";

// Older programs leave out the columns that they do not know, which is why each has a default.
constexpr std::array<const char*, 1> kMigrations = {
    "ALTER TABLE tasks ADD COLUMN quiet_us INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE tasks ADD COLUMN quiet_bytes INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE tasks ADD COLUMN lost_us INTEGER NOT NULL DEFAULT 0"};

constexpr int kVisitsKept = 8;
constexpr std::chrono::seconds kFirstRhythm{3600};

std::int64_t MicrosOf(const std::optional<Timestamp>& time) { return time ? ToMicros(*time) : 0; }

}  // namespace

Result<std::unique_ptr<ClientJournal>> ClientJournal::Open(const std::string& path) {
  TRIBUTARY_ASSIGN_OR_RETURN(Database database, Database::Open(path));
  TRIBUTARY_RETURN_IF_ERROR(database.Execute(kSchema));
  TRIBUTARY_RETURN_IF_ERROR(database.Migrate(kMigrations));
  return std::unique_ptr<ClientJournal>(new ClientJournal(std::move(database)));
}

Status ClientJournal::SaveTask(const TaskRecord& record) {
  MutexLock lock(mutex_);
  TRIBUTARY_ASSIGN_OR_RETURN(
      Statement save,
      database_.Prepare(
          "INSERT INTO tasks (task, phase, job, submitted_us, download_us, assignment, report, "
          "attempt, job_name, queue_us, node_us, quiet_us, quiet_bytes, lost_us) "
          "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14) "
          "ON CONFLICT (task) DO UPDATE SET "
          "phase=?2, job=?3, submitted_us=?4, download_us=?5, report=?7, attempt=?8, job_name=?9, "
          "queue_us=?10, node_us=?11, quiet_us=?12, quiet_bytes=?13, lost_us=?14"));
  save.Bind(1, record.assignment.task())
      .Bind(2, static_cast<std::int64_t>(record.phase))
      .Bind(3, record.job)
      .Bind(4, ToMicros(record.submitted_at))
      .Bind(5, static_cast<std::int64_t>(record.download_seconds * 1e6))
      .BindBytes(6, record.assignment.SerializeAsString())
      .BindBytes(7, record.report.SerializeAsString())
      .Bind(8, record.attempt)
      .Bind(9, record.job_name)
      .Bind(10, static_cast<std::int64_t>(record.queue_seconds * 1e6))
      .Bind(11, static_cast<std::int64_t>(record.node_seconds * 1e6))
      .Bind(12, record.quiet ? ToMicros(record.quiet->since) : 0)
      .Bind(13, record.quiet ? static_cast<std::int64_t>(record.quiet->progress_bytes) : 0)
      .Bind(14, MicrosOf(record.lost_since));
  return save.Run().Annotate("client journal");
}

Status ClientJournal::RemoveTask(const std::string& task) {
  MutexLock lock(mutex_);
  TRIBUTARY_ASSIGN_OR_RETURN(Statement remove,
                             database_.Prepare("DELETE FROM tasks WHERE task = ?"));
  remove.Bind(1, task);
  return remove.Run().Annotate("client journal");
}

Result<std::vector<TaskRecord>> ClientJournal::LoadTasks() {
  MutexLock lock(mutex_);
  TRIBUTARY_ASSIGN_OR_RETURN(
      Statement select,
      database_.Prepare("SELECT phase, job, submitted_us, download_us, assignment, report, "
                        "attempt, job_name, queue_us, node_us, quiet_us, quiet_bytes, lost_us "
                        "FROM tasks ORDER BY ordinal"));
  std::vector<TaskRecord> records;
  while (true) {
    TRIBUTARY_ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) return records;
    TaskRecord& record = records.emplace_back();
    record.phase = static_cast<Phase>(select.Int(0));
    record.job = select.Text(1);
    record.submitted_at = TimestampFromMicros(select.Int(2));
    record.download_seconds = static_cast<double>(select.Int(3)) * 1e-6;
    record.attempt = select.Int(6);
    record.job_name = select.Text(7);
    record.queue_seconds = static_cast<double>(select.Int(8)) * 1e-6;
    record.node_seconds = static_cast<double>(select.Int(9)) * 1e-6;
    if (select.Int(10) != 0) {
      record.quiet = {TimestampFromMicros(select.Int(10)),
                      static_cast<std::uint64_t>(select.Int(11))};
    }
    if (select.Int(12) != 0) record.lost_since = TimestampFromMicros(select.Int(12));
    if (!record.assignment.ParseFromString(select.Text(4)) ||
        !record.report.ParseFromString(select.Text(5))) {
      return DataLossError("client journal: a task cannot be read back");
    }
  }
}

Status ClientJournal::SaveOffer(const v1::CampaignOffer& offer) {
  MutexLock lock(mutex_);
  TRIBUTARY_ASSIGN_OR_RETURN(
      Statement save,
      database_.Prepare("INSERT OR REPLACE INTO offers (campaign, offer) VALUES (?, ?)"));
  save.Bind(1, offer.campaign()).BindBytes(2, offer.SerializeAsString());
  return save.Run().Annotate("client journal");
}

Status ClientJournal::RemoveOffer(const std::string& campaign) {
  MutexLock lock(mutex_);
  TRIBUTARY_ASSIGN_OR_RETURN(Statement remove,
                             database_.Prepare("DELETE FROM offers WHERE campaign = ?"));
  remove.Bind(1, campaign);
  return remove.Run().Annotate("client journal");
}

Result<std::map<std::string, v1::CampaignOffer>> ClientJournal::LoadOffers() {
  MutexLock lock(mutex_);
  TRIBUTARY_ASSIGN_OR_RETURN(Statement select,
                             database_.Prepare("SELECT campaign, offer FROM offers"));
  std::map<std::string, v1::CampaignOffer> offers;
  while (true) {
    TRIBUTARY_ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) return offers;
    if (!offers[select.Text(0)].ParseFromString(select.Text(1))) {
      return DataLossError("client journal: an offer cannot be read back");
    }
  }
}

Result<std::string> ClientJournal::Instance(const std::string& drawn) {
  MutexLock lock(mutex_);
  TRIBUTARY_ASSIGN_OR_RETURN(Statement select, database_.Prepare("SELECT name FROM instance"));
  TRIBUTARY_ASSIGN_OR_RETURN(const bool there, select.Step());
  if (there) return select.Text(0);
  TRIBUTARY_ASSIGN_OR_RETURN(Statement insert,
                             database_.Prepare("INSERT INTO instance (name) VALUES (?)"));
  insert.Bind(1, drawn);
  TRIBUTARY_RETURN_IF_ERROR(insert.Run().Annotate("client journal"));
  return drawn;
}

Result<std::chrono::seconds> ClientJournal::NoteVisit(Timestamp now) {
  MutexLock lock(mutex_);
  TRIBUTARY_ASSIGN_OR_RETURN(Statement insert,
                             database_.Prepare("INSERT INTO visits (at_us) VALUES (?)"));
  insert.Bind(1, ToMicros(now));
  TRIBUTARY_RETURN_IF_ERROR(insert.Run().Annotate("client journal"));
  TRIBUTARY_RETURN_IF_ERROR(
      database_.Execute("DELETE FROM visits WHERE ordinal <= (SELECT MAX(ordinal) FROM visits) - " +
                        std::to_string(kVisitsKept)));
  TRIBUTARY_ASSIGN_OR_RETURN(Statement select,
                             database_.Prepare("SELECT at_us FROM visits ORDER BY ordinal"));
  std::vector<std::int64_t> visits;
  while (true) {
    TRIBUTARY_ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) break;
    visits.push_back(select.Int(0));
  }
  if (visits.size() < 2) return kFirstRhythm;
  std::int64_t longest = 1'000'000;
  for (std::size_t i = 1; i < visits.size(); ++i) {
    longest = std::max(longest, visits[i] - visits[i - 1]);
  }
  return std::chrono::seconds(longest / 1'000'000);
}

}  // namespace tributary::client

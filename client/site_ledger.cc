#include "client/site_ledger.h"

#include <array>

namespace tributary::client {
namespace {

constexpr const char* kSchema = R"(
  CREATE TABLE IF NOT EXISTS jobs (
    name TEXT PRIMARY KEY, campaign TEXT NOT NULL, queue TEXT NOT NULL, nodes INTEGER NOT NULL,
    cpus INTEGER NOT NULL, gpus INTEGER NOT NULL, walltime INTEGER NOT NULL,
    submitted_us INTEGER NOT NULL, started_us INTEGER NOT NULL, ended_us INTEGER NOT NULL,
    charged INTEGER NOT NULL, p50_us INTEGER NOT NULL, p80_us INTEGER NOT NULL);
  CREATE INDEX IF NOT EXISTS jobs_by_campaign ON jobs (campaign);
)";
constexpr std::array<const char*, 1> kSteps = {kSchema};
constexpr std::int64_t kAbsent = -1;

std::int64_t Micros(const std::optional<Timestamp>& time) {
  return time ? ToMicros(*time) : kAbsent;
}
std::int64_t Micros(const std::optional<double>& seconds) {
  return seconds ? static_cast<std::int64_t>(*seconds * 1e6) : kAbsent;
}
std::optional<Timestamp> TimeOf(std::int64_t micros) {
  return micros == kAbsent ? std::nullopt : std::optional(TimestampFromMicros(micros));
}
std::optional<double> SecondsOf(std::int64_t micros) {
  return micros == kAbsent ? std::nullopt : std::optional(static_cast<double>(micros) * 1e-6);
}

}  // namespace

Result<std::unique_ptr<SiteLedger>> SiteLedger::Open(const std::string& path) {
  TRIBUTARY_ASSIGN_OR_RETURN(Database database, Database::Open(path));
  TRIBUTARY_RETURN_IF_ERROR(database.Migrate(kSteps));
  return std::unique_ptr<SiteLedger>(new SiteLedger(std::move(database)));
}

Status SiteLedger::Put(const JobEntry& job) {
  MutexLock lock(mutex_);
  TRIBUTARY_ASSIGN_OR_RETURN(
      Statement put,
      database_.Prepare("INSERT OR REPLACE INTO jobs (name, campaign, queue, nodes, cpus, gpus, "
                        "walltime, submitted_us, started_us, ended_us, charged, p50_us, p80_us) "
                        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
  put.Bind(1, job.name).Bind(2, job.campaign).Bind(3, job.queue);
  put.Bind(4, job.nodes).Bind(5, job.cpus).Bind(6, job.gpus);
  put.Bind(7, static_cast<std::int64_t>(job.walltime.count()));
  put.Bind(8, ToMicros(job.submitted)).Bind(9, Micros(job.started)).Bind(10, Micros(job.ended));
  put.Bind(11, static_cast<std::int64_t>(job.charged.count()));
  put.Bind(12, Micros(job.predicted_p50)).Bind(13, Micros(job.predicted_p80));
  return put.Run().Annotate("site ledger");
}

Result<std::optional<JobEntry>> SiteLedger::Get(const std::string& name) {
  TRIBUTARY_ASSIGN_OR_RETURN(auto jobs, Select("WHERE name = ?", {name}));
  if (jobs.empty()) return std::optional<JobEntry>();
  return std::optional(std::move(jobs.front()));
}

Result<std::vector<JobEntry>> SiteLedger::Jobs(const std::optional<std::string>& campaign) {
  if (!campaign) return Select("ORDER BY submitted_us", {});
  return Select("WHERE campaign = ? ORDER BY submitted_us", {*campaign});
}

Result<std::vector<JobEntry>> SiteLedger::Started(const std::string& queue, std::int64_t at_most) {
  return Select("WHERE queue = ? AND started_us >= 0 ORDER BY started_us DESC LIMIT " +
                    std::to_string(at_most),
                {queue});
}

Result<std::vector<JobEntry>> SiteLedger::Select(const std::string& rest,
                                                 const std::vector<std::string>& values) {
  MutexLock lock(mutex_);
  TRIBUTARY_ASSIGN_OR_RETURN(
      Statement select,
      database_.Prepare("SELECT name, campaign, queue, nodes, cpus, gpus, walltime, submitted_us, "
                        "started_us, ended_us, charged, p50_us, p80_us FROM jobs " +
                        rest));
  for (std::size_t i = 0; i < values.size(); ++i) select.Bind(static_cast<int>(i + 1), values[i]);
  std::vector<JobEntry> jobs;
  while (true) {
    TRIBUTARY_ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) return jobs;
    JobEntry& job = jobs.emplace_back();
    job.name = select.Text(0);
    job.campaign = select.Text(1);
    job.queue = select.Text(2);
    job.nodes = select.Int(3);
    job.cpus = select.Int(4);
    job.gpus = select.Int(5);
    job.walltime = std::chrono::seconds(select.Int(6));
    job.submitted = TimestampFromMicros(select.Int(7));
    job.started = TimeOf(select.Int(8));
    job.ended = TimeOf(select.Int(9));
    job.charged = std::chrono::seconds(select.Int(10));
    job.predicted_p50 = SecondsOf(select.Int(11));
    job.predicted_p80 = SecondsOf(select.Int(12));
  }
}

}  // namespace tributary::client

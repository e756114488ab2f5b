#include "scheduler_adapters/job_book.h"

#include <array>
#include <nlohmann/json.hpp>

#include "core/json.h"

namespace tributary::scheduler_adapters {
namespace {

using nlohmann::json;

constexpr const char* kSchema =
    "CREATE TABLE IF NOT EXISTS jobs ("
    "name TEXT PRIMARY KEY, id TEXT NOT NULL, working_directory TEXT NOT NULL, "
    "submitted INTEGER NOT NULL, cancel_requested INTEGER NOT NULL, end TEXT NOT NULL);"
    "CREATE INDEX IF NOT EXISTS jobs_by_id ON jobs (id);"
    "CREATE TABLE IF NOT EXISTS runs ("
    "name TEXT NOT NULL, started INTEGER NOT NULL, seen INTEGER NOT NULL, "
    "PRIMARY KEY (name, started));"
    "CREATE TABLE IF NOT EXISTS missing (key TEXT PRIMARY KEY, since INTEGER NOT NULL)";
constexpr std::array<const char*, 1> kSteps = {kSchema};

void WriteTime(json* object, const char* key, const std::optional<Timestamp>& time) {
  if (time) (*object)[key] = ToMicros(*time);
}

std::string EndToJson(const std::optional<JobStatus>& end) {
  if (!end) return "";
  json object = {{"state", static_cast<int>(end->state)},
                 {"raw_state", end->raw_state},
                 {"restarts", end->restarts},
                 {"nodes", end->usage.nodes},
                 {"cpus", end->usage.cpus},
                 {"gpus", end->usage.gpus},
                 {"elapsed", end->usage.elapsed.count()},
                 {"message", end->message}};
  if (end->exit_code) object["exit_code"] = *end->exit_code;
  WriteTime(&object, "submitted", end->submitted);
  WriteTime(&object, "started", end->started);
  WriteTime(&object, "ended", end->ended);
  return object.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::optional<Timestamp> ReadTime(const json& object, const char* key) {
  if (!object.contains(key)) return std::nullopt;
  return TimestampFromMicros(object[key].get<std::int64_t>());
}

Result<std::optional<JobStatus>> EndFromJson(const std::string& text, const std::string& id) {
  if (text.empty()) return std::optional<JobStatus>();
  // Our own row: what does not fit is damage.
  try {
    const json object = json::parse(text);
    JobStatus end;
    end.id = id;
    end.state = static_cast<JobState>(object.at("state").get<int>());
    end.raw_state = object.at("raw_state").get<std::string>();
    end.restarts = object.at("restarts").get<int>();
    end.usage = {object.at("nodes").get<std::int64_t>(), object.at("cpus").get<std::int64_t>(),
                 object.at("gpus").get<std::int64_t>(),
                 std::chrono::seconds(object.at("elapsed").get<std::int64_t>())};
    end.message = object.at("message").get<std::string>();
    if (object.contains("exit_code")) end.exit_code = object["exit_code"].get<int>();
    end.submitted = ReadTime(object, "submitted");
    end.started = ReadTime(object, "started");
    end.ended = ReadTime(object, "ended");
    return std::optional(std::move(end));
  } catch (const json::exception& error) {
    return DataLossError("the end of job " + id + " is damaged: " + error.what());
  }
}

}  // namespace

Result<JobBook> JobBook::Open(const std::string& path) {
  TRIBUTARY_ASSIGN_OR_RETURN(Database database, Database::Open(path));
  TRIBUTARY_RETURN_IF_ERROR(database.Migrate(kSteps));
  return JobBook(std::move(database));
}

Status JobBook::Put(const BookedJob& job) {
  TRIBUTARY_ASSIGN_OR_RETURN(
      Statement put,
      database_.Prepare("INSERT OR REPLACE INTO jobs (name, id, working_directory, submitted, "
                        "cancel_requested, end) VALUES (?, ?, ?, ?, ?, ?)"));
  const std::string end = EndToJson(job.end);
  put.Bind(1, job.name).Bind(2, job.id).Bind(3, job.working_directory);
  put.Bind(4, ToMicros(job.submitted));
  put.Bind(5, static_cast<std::int64_t>(job.cancel_requested)).Bind(6, end);
  return put.Run();
}

Status JobBook::Remove(std::string_view name) {
  for (const char* text : {"DELETE FROM runs WHERE name = ?", "DELETE FROM jobs WHERE name = ?"}) {
    TRIBUTARY_ASSIGN_OR_RETURN(Statement remove, database_.Prepare(text));
    TRIBUTARY_RETURN_IF_ERROR(remove.Bind(1, name).Run());
  }
  return OkStatus();
}

Result<std::map<std::string, Timestamp>> JobBook::Missing() {
  TRIBUTARY_ASSIGN_OR_RETURN(Statement get, database_.Prepare("SELECT key, since FROM missing"));
  std::map<std::string, Timestamp> missing;
  while (true) {
    TRIBUTARY_ASSIGN_OR_RETURN(const bool row, get.Step());
    if (!row) return missing;
    missing[get.Text(0)] = TimestampFromMicros(get.Int(1));
  }
}

Status JobBook::PutMissing(const std::string& key, Timestamp since) {
  TRIBUTARY_ASSIGN_OR_RETURN(
      Statement put,
      database_.Prepare("INSERT OR REPLACE INTO missing (key, since) VALUES (?, ?)"));
  return put.Bind(1, key).Bind(2, ToMicros(since)).Run();
}

Status JobBook::RemoveMissing(const std::string& key) {
  TRIBUTARY_ASSIGN_OR_RETURN(Statement remove,
                             database_.Prepare("DELETE FROM missing WHERE key = ?"));
  return remove.Bind(1, key).Run();
}

Result<std::optional<BookedJob>> JobBook::ByName(std::string_view name) {
  return Get("name", name);
}

Result<std::optional<BookedJob>> JobBook::ById(std::string_view id) {
  if (id.empty()) return std::optional<BookedJob>();
  return Get("id", id);
}

Status JobBook::PutRun(std::string_view name, const BookedRun& run) {
  TRIBUTARY_ASSIGN_OR_RETURN(
      Statement put,
      database_.Prepare("INSERT OR REPLACE INTO runs (name, started, seen) VALUES (?, ?, ?)"));
  put.Bind(1, name).Bind(2, ToMicros(run.started)).Bind(3, ToMicros(run.seen));
  return put.Run();
}

Result<std::vector<BookedRun>> JobBook::Runs(std::string_view name) {
  TRIBUTARY_ASSIGN_OR_RETURN(
      Statement get,
      database_.Prepare("SELECT started, seen FROM runs WHERE name = ? ORDER BY started"));
  get.Bind(1, name);
  std::vector<BookedRun> runs;
  while (true) {
    TRIBUTARY_ASSIGN_OR_RETURN(const bool there, get.Step());
    if (!there) return runs;
    runs.push_back({TimestampFromMicros(get.Int(0)), TimestampFromMicros(get.Int(1))});
  }
}

Result<std::vector<std::string>> JobBook::Ended() {
  TRIBUTARY_ASSIGN_OR_RETURN(Statement get,
                             database_.Prepare("SELECT name FROM jobs WHERE end != ''"));
  std::vector<std::string> names;
  while (true) {
    TRIBUTARY_ASSIGN_OR_RETURN(const bool there, get.Step());
    if (!there) return names;
    names.push_back(get.Text(0));
  }
}

Result<std::optional<BookedJob>> JobBook::Get(std::string_view column, std::string_view key) {
  TRIBUTARY_ASSIGN_OR_RETURN(
      Statement get,
      database_.Prepare("SELECT name, id, working_directory, submitted, cancel_requested, end "
                        "FROM jobs WHERE " +
                        std::string(column) + " = ? ORDER BY submitted DESC LIMIT 1"));
  TRIBUTARY_ASSIGN_OR_RETURN(const bool there, get.Bind(1, key).Step());
  if (!there) return std::optional<BookedJob>();
  BookedJob job;
  job.name = get.Text(0);
  job.id = get.Text(1);
  job.working_directory = get.Text(2);
  job.submitted = TimestampFromMicros(get.Int(3));
  job.cancel_requested = get.Int(4) != 0;
  TRIBUTARY_ASSIGN_OR_RETURN(job.end, EndFromJson(get.Text(5), job.id));
  return std::optional(std::move(job));
}

}  // namespace tributary::scheduler_adapters

#include "scheduler_adapters/pilot_directory.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/json.h"
#include "core/sha256.h"
#include "core/text.h"
#include "scheduler_adapters/record_members.h"

namespace tributary::scheduler_adapters {
namespace {

using nlohmann::json;

std::string Dump(const json& object) {
  return object.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
}

// What must be equal for two jobs to run in one pilot.
json SharedPart(const JobSpec& spec) {
  json part = {{"environment", spec.environment},
               {"prologue", spec.prologue},
               {"cpus", spec.cpus},
               {"gpus", spec.gpus},
               {"nodes", spec.nodes},
               {"queue", spec.queue},
               {"account", spec.account},
               {"directives", spec.directives}};
  if (spec.tasks > 1) part["tasks"] = spec.tasks;
  return part;
}

json SpecToJson(const JobSpec& spec) {
  json object = SharedPart(spec);
  object["name"] = spec.name;
  object["working_directory"] = spec.working_directory;
  object["command"] = spec.command;
  object["stdout"] = spec.stdout_path;
  object["stderr"] = spec.stderr_path;
  object["walltime_seconds"] = spec.walltime.count();
  object["warning_signal"] = spec.warning_signal;
  object["warning_before_seconds"] = spec.warning_before.count();
  return object;
}

std::chrono::seconds SecondsMember(JsonObjectReader& reader, std::string_view key) {
  constexpr std::int64_t kMost = std::int64_t{100} * 365 * 86400;
  return std::chrono::seconds(reader.Int(key, 0, kMost));
}

std::optional<Timestamp> OptionalTime(JsonObjectReader& reader, std::string_view key) {
  return reader.Has(key) ? std::optional(TimeMember(reader, key)) : std::nullopt;
}

JobSpec SpecMember(JsonObjectReader& parent, std::string_view key) {
  JsonObjectReader reader = parent.Object(key);
  JobSpec spec;
  spec.name = reader.String("name");
  spec.working_directory = reader.String("working_directory");
  spec.command = reader.Strings("command");
  spec.environment = StringMap(reader, "environment");
  spec.prologue = reader.Strings("prologue");
  spec.stdout_path = reader.String("stdout");
  spec.stderr_path = reader.String("stderr");
  spec.cpus = reader.Int("cpus", 1, kIntMax);
  spec.gpus = reader.Int("gpus", 0, kIntMax);
  spec.nodes = reader.Int("nodes", 1, kIntMax);
  if (reader.Has("tasks")) spec.tasks = reader.Int("tasks", 1, kIntMax);
  spec.walltime = SecondsMember(reader, "walltime_seconds");
  spec.warning_signal = static_cast<int>(reader.Int("warning_signal", 1, SIGRTMAX));
  spec.warning_before = SecondsMember(reader, "warning_before_seconds");
  spec.queue = reader.String("queue");
  spec.account = reader.String("account");
  spec.directives = reader.Strings("directives");
  return spec;
}

JobState EndStateMember(JsonObjectReader& reader, std::string_view key) {
  const std::string name = reader.String(key);
  for (int s = 0; s < static_cast<int>(JobState::kUnknown); ++s) {
    const auto state = static_cast<JobState>(s);
    if (IsTerminal(state) && JobStateName(state) == name) return state;
  }
  reader.Problem(key, "\"" + Excerpt(name) + "\" is no end");
  return JobState::kFailed;
}

void PutTime(json* object, const char* key, const std::optional<Timestamp>& time) {
  if (time) (*object)[key] = ToMicros(*time);
}

json StatusToJson(const JobStatus& status) {
  json object = {
      {"state", JobStateName(status.state)}, {"message", status.message},
      {"nodes", status.usage.nodes},         {"cpus", status.usage.cpus},
      {"gpus", status.usage.gpus},           {"elapsed_seconds", status.usage.elapsed.count()}};
  PutTime(&object, "started_us", status.started);
  PutTime(&object, "ended_us", status.ended);
  return object;
}

JobStatus StatusMember(JsonObjectReader& parent, std::string_view key) {
  JsonObjectReader reader = parent.Object(key);
  JobStatus status;
  status.state = EndStateMember(reader, "state");
  status.message = reader.String("message");
  status.usage.nodes = reader.Int("nodes", 0, kIntMax);
  status.usage.cpus = reader.Int("cpus", 0, kIntMax);
  status.usage.gpus = reader.Int("gpus", 0, kIntMax);
  status.usage.elapsed = SecondsMember(reader, "elapsed_seconds");
  status.started = OptionalTime(reader, "started_us");
  status.ended = OptionalTime(reader, "ended_us");
  return status;
}

Status WriteNew(const std::string& path, std::string_view bytes, bool sync) {
  TRIBUTARY_ASSIGN_OR_RETURN(const FileDescriptor file,
                             OpenFile(path, O_WRONLY | O_CREAT | O_TRUNC, 0600));
  TRIBUTARY_RETURN_IF_ERROR(WriteAll(file.get(), bytes.data(), bytes.size()).Annotate(path));
  if (sync && fsync(file.get()) != 0) return ErrnoError("fsync " + path, errno);
  return OkStatus();
}

// Whole for every reader, but not worth a disk's time: the next heartbeat comes soon.
Status Replace(const std::string& path, std::string_view bytes) {
  const std::string whole = path + ".new";
  TRIBUTARY_RETURN_IF_ERROR(WriteNew(whole, bytes, false));
  if (rename(whole.c_str(), path.c_str()) != 0) return ErrnoError("rename " + whole, errno);
  return OkStatus();
}

// True when this call made the file; false when it was there. Durable.
Result<bool> MakeOnce(const std::string& path, std::string_view bytes, const std::string& writer) {
  const std::string whole = path + "." + writer + ".new";
  // What a killed writer left may be a second name of the file itself, and must not be written to.
  TRIBUTARY_RETURN_IF_ERROR(RemoveFile(whole));
  TRIBUTARY_RETURN_IF_ERROR(WriteNew(whole, bytes, true));
  bool made = link(whole.c_str(), path.c_str()) == 0;
  const int error = errno;
  if (!made) {
    // A server whose first answer got lost says that the name is taken: by us, as the count tells.
    struct stat info {};
    made = error == EEXIST && stat(whole.c_str(), &info) == 0 && info.st_nlink == 2;
  }
  TRIBUTARY_RETURN_IF_ERROR(RemoveFile(whole));
  if (!made && error != EEXIST) return ErrnoError("link " + path, error);
  if (made) TRIBUTARY_RETURN_IF_ERROR(SyncDirectory(DirectoryOf(path)));
  return made;
}

bool Contains(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Nothing has been written there before the first task.
Result<std::vector<std::string>> ListOrNothing(const std::string& path) {
  auto names = ListDirectory(path);
  if (names.status().code() == StatusCode::kNotFound) return std::vector<std::string>();
  return names;
}

Result<PilotClaim> ReadClaim(const std::string& path) {
  TRIBUTARY_ASSIGN_OR_RETURN(const json object, ReadJsonFile(path));
  std::vector<std::string> problems;
  JsonObjectReader reader(object, path, &problems);
  PilotClaim claim;
  claim.pilot = reader.String("pilot");
  claim.incarnation = TimeMember(reader, "incarnation_us");
  claim.at = TimeMember(reader, "at_us");
  TRIBUTARY_RETURN_IF_ERROR(ProblemsToStatus(problems));
  return claim;
}

Result<PilotTaskEnd> ReadEnd(const std::string& path) {
  TRIBUTARY_ASSIGN_OR_RETURN(const json object, ReadJsonFile(path));
  std::vector<std::string> problems;
  JsonObjectReader reader(object, path, &problems);
  PilotTaskEnd end;
  end.state = EndStateMember(reader, "state");
  if (reader.Has("exit_code")) end.exit_code = static_cast<int>(reader.Int("exit_code", 0, 255));
  end.started = OptionalTime(reader, "started_us");
  end.ended = TimeMember(reader, "ended_us");
  end.message = reader.String("message");
  TRIBUTARY_RETURN_IF_ERROR(ProblemsToStatus(problems));
  return end;
}

}  // namespace

std::string PilotProfile(const JobSpec& spec) {
  constexpr std::size_t kDigits = 16;
  return Sha256Of(Dump(SharedPart(spec))).ToHex().substr(0, kDigits);
}

Status PilotDirectory::Make() const {
  for (const std::string_view name : {"requests", "tasks", "pilots"}) {
    TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(JoinPath(path_, name)));
  }
  return OkStatus();
}

std::string PilotDirectory::TaskFile(const std::string& task, std::string_view file) const {
  return JoinPath(path_, "tasks/" + task + "/" + std::string(file));
}

std::string PilotDirectory::PilotPath(const std::string& pilot) const {
  return JoinPath(path_, "pilots/" + pilot);
}

std::string PilotDirectory::PilotFile(const std::string& pilot, std::string_view file) const {
  return JoinPath(PilotPath(pilot), file);
}

Status PilotDirectory::PutRequest(const PilotRequest& request) const {
  const std::string path = TaskFile(request.spec.name, "request.json");
  TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(DirectoryOf(path)));
  return WriteFileAtomic(path, Dump({{"spec", SpecToJson(request.spec)},
                                     {"submitted_us", ToMicros(request.submitted)}}));
}

Status PilotDirectory::Queue(const std::string& task) const {
  return WriteNew(JoinPath(path_, "requests/" + task), "", false);
}

Status PilotDirectory::Unqueue(const std::string& task) const {
  return RemoveFile(JoinPath(path_, "requests/" + task));
}

Result<std::vector<std::string>> PilotDirectory::Queued() const {
  return ListOrNothing(JoinPath(path_, "requests"));
}

Result<std::vector<std::string>> PilotDirectory::Tasks() const {
  return ListOrNothing(JoinPath(path_, "tasks"));
}

Result<bool> PilotDirectory::HasTask(const std::string& task) const {
  const std::string path = TaskFile(task, "request.json");
  if (access(path.c_str(), F_OK) == 0) return true;
  if (errno == ENOENT || errno == ENOTDIR) return false;
  return UnavailableError(ErrnoError("look for " + path, errno).message());
}

Result<PilotRequest> PilotDirectory::ReadRequest(const std::string& task) const {
  const std::string path = TaskFile(task, "request.json");
  TRIBUTARY_ASSIGN_OR_RETURN(const json object, ReadJsonFile(path));
  std::vector<std::string> problems;
  JsonObjectReader reader(object, path, &problems);
  PilotRequest request;
  request.spec = SpecMember(reader, "spec");
  request.submitted = TimeMember(reader, "submitted_us");
  TRIBUTARY_RETURN_IF_ERROR(ProblemsToStatus(problems));
  TRIBUTARY_RETURN_IF_ERROR(CheckJobSpec(request.spec));
  return request;
}

// Marks are looked up in a fresh listing: a network file system may remember for a minute that a
// name was not there, but asks again when a directory is opened.
Result<PilotTask> PilotDirectory::ReadTask(const std::string& task) const {
  TRIBUTARY_ASSIGN_OR_RETURN(const auto names, ListDirectory(JoinPath(path_, "tasks/" + task)));
  PilotTask result;
  TRIBUTARY_ASSIGN_OR_RETURN(result.request, ReadRequest(task));
  result.cancel = Contains(names, "cancel");
  if (Contains(names, "claim.json")) {
    TRIBUTARY_ASSIGN_OR_RETURN(result.claim, ReadClaim(TaskFile(task, "claim.json")));
  }
  if (Contains(names, "end.json")) {
    TRIBUTARY_ASSIGN_OR_RETURN(result.end, ReadEnd(TaskFile(task, "end.json")));
  }
  return result;
}

Status PilotDirectory::RemoveTask(const std::string& task) const {
  // Away in one step: a pilot that is about to claim it finds nothing, or all of it.
  const std::string from = JoinPath(path_, "tasks/" + task);
  const std::string to = JoinPath(path_, "tasks/.removed-" + task);
  TRIBUTARY_RETURN_IF_ERROR(RemoveTree(to));
  if (rename(from.c_str(), to.c_str()) != 0 && errno != ENOENT)
    return ErrnoError("rename " + from, errno);
  return RemoveTree(to);
}

Result<bool> PilotDirectory::Claim(const std::string& task, const PilotClaim& claim,
                                   const std::string& writer) const {
  const json object = {{"pilot", claim.pilot},
                       {"incarnation_us", ToMicros(claim.incarnation)},
                       {"at_us", ToMicros(claim.at)}};
  return MakeOnce(TaskFile(task, "claim.json"), Dump(object), writer);
}

Result<bool> PilotDirectory::End(const std::string& task, const PilotTaskEnd& end,
                                 const std::string& writer) const {
  json object = {{"state", JobStateName(end.state)},
                 {"ended_us", ToMicros(end.ended)},
                 {"message", Excerpt(end.message, kMaxJobMessageBytes)}};
  if (end.exit_code) object["exit_code"] = *end.exit_code;
  PutTime(&object, "started_us", end.started);
  return MakeOnce(TaskFile(task, "end.json"), Dump(object), writer);
}

Status PilotDirectory::RequestCancel(const std::string& task) const {
  return WriteFileAtomic(TaskFile(task, "cancel"), "");
}

bool PilotDirectory::IsCancelRequested(const std::string& task) const {
  const auto names = ListDirectory(JoinPath(path_, "tasks/" + task));
  return names.ok() && Contains(*names, "cancel");
}

Result<std::vector<std::string>> PilotDirectory::Pilots() const {
  return ListOrNothing(JoinPath(path_, "pilots"));
}

Status PilotDirectory::PutPilot(const PilotRecord& record) const {
  const std::string path = PilotFile(record.spec.name, "pilot.json");
  TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(DirectoryOf(path)));
  json object = {{"spec", SpecToJson(record.spec)},
                 {"id", record.id},
                 {"profile", record.profile},
                 {"serve_seconds", record.serve.count()},
                 {"idle_timeout_seconds", record.idle_timeout.count()},
                 {"poll_interval_ms", record.poll_interval.count()},
                 {"grace_seconds", record.grace.count()},
                 {"submitted_us", ToMicros(record.submitted)}};
  if (record.end) object["end"] = StatusToJson(*record.end);
  return WriteFileAtomic(path, Dump(object));
}

Result<PilotRecord> PilotDirectory::ReadPilot(const std::string& pilot) const {
  constexpr std::int64_t kDayMs = 86'400'000;
  const std::string path = PilotFile(pilot, "pilot.json");
  TRIBUTARY_ASSIGN_OR_RETURN(const json object, ReadJsonFile(path));
  std::vector<std::string> problems;
  JsonObjectReader reader(object, path, &problems);
  PilotRecord record;
  record.spec = SpecMember(reader, "spec");
  record.id = reader.String("id");
  record.profile = reader.String("profile");
  record.serve = SecondsMember(reader, "serve_seconds");
  record.idle_timeout = SecondsMember(reader, "idle_timeout_seconds");
  record.poll_interval = std::chrono::milliseconds(reader.Int("poll_interval_ms", 1, kDayMs));
  record.grace = SecondsMember(reader, "grace_seconds");
  record.submitted = TimeMember(reader, "submitted_us");
  if (reader.Has("end")) {
    record.end = StatusMember(reader, "end");
    record.end->id = record.id;
  }
  TRIBUTARY_RETURN_IF_ERROR(ProblemsToStatus(problems));
  return record;
}

Status PilotDirectory::RemovePilot(const std::string& pilot) const {
  return RemoveTree(PilotPath(pilot));
}

Status PilotDirectory::PutState(const std::string& pilot, const PilotState& state) const {
  const json object = {{"pid", state.pid},
                       {"host", state.host},
                       {"started_us", ToMicros(state.started)},
                       {"beat_us", ToMicros(state.beat)},
                       {"busy_us", state.busy.count()},
                       {"tasks", state.tasks},
                       {"current", state.current},
                       {"idle_since_us", ToMicros(state.idle_since)},
                       {"left", state.left}};
  return Replace(PilotFile(pilot, "state.json"), Dump(object));
}

Result<std::optional<PilotState>> PilotDirectory::ReadState(const std::string& pilot) const {
  TRIBUTARY_ASSIGN_OR_RETURN(const auto names, ListDirectory(PilotPath(pilot)));
  if (!Contains(names, "state.json")) return std::optional<PilotState>();
  const std::string path = PilotFile(pilot, "state.json");
  TRIBUTARY_ASSIGN_OR_RETURN(const json object, ReadJsonFile(path));
  std::vector<std::string> problems;
  JsonObjectReader reader(object, path, &problems);
  PilotState state;
  state.pid = reader.Int("pid", 0, kIntMax);
  state.host = reader.String("host");
  state.started = TimeMember(reader, "started_us");
  state.beat = TimeMember(reader, "beat_us");
  state.busy = std::chrono::microseconds(reader.Int("busy_us", 0, kIntMax));
  state.tasks = reader.Int("tasks", 0, kIntMax);
  state.current = reader.String("current");
  state.idle_since = TimeMember(reader, "idle_since_us");
  state.left = reader.String("left");
  TRIBUTARY_RETURN_IF_ERROR(ProblemsToStatus(problems));
  return std::optional(std::move(state));
}

bool PilotDirectory::IsStopRequested(const std::string& pilot) const {
  const auto names = ListDirectory(PilotPath(pilot));
  return AreAllStopped() || (names.ok() && Contains(*names, "stop"));
}

bool PilotDirectory::AreAllStopped() const {
  const auto names = ListDirectory(path_);
  return names.ok() && Contains(*names, "stop");
}

Status PilotDirectory::RequestStop(const std::string& pilot) const {
  return WriteFileAtomic(PilotFile(pilot, "stop"), "");
}

}  // namespace tributary::scheduler_adapters

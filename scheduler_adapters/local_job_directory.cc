#include "scheduler_adapters/local_job_directory.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/json.h"
#include "core/text.h"
#include "scheduler_adapters/record_members.h"

namespace tributary::scheduler_adapters {
namespace {

using nlohmann::json;

struct flock WholeFile() {
  struct flock whole {};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  return whole;
}

// A file that appears whole or not at all to other processes. Only `started` is worth a disk's
// time: after a power cut a lost or damaged file of another name makes the job one that never
// started, or a node failure, which is what it is then.
Status WriteTemporary(const std::string& path, std::string_view bytes, bool sync) {
  TRIBUTARY_ASSIGN_OR_RETURN(const FileDescriptor file,
                             OpenFile(path, O_WRONLY | O_CREAT | O_TRUNC, 0600));
  TRIBUTARY_RETURN_IF_ERROR(WriteAll(file.get(), bytes.data(), bytes.size()).Annotate(path));
  if (sync && fsync(file.get()) != 0) return ErrnoError("fsync " + path, errno);
  return OkStatus();
}

Status WriteWhole(const std::string& path, std::string_view bytes) {
  const std::string temporary = path + ".new";
  TRIBUTARY_RETURN_IF_ERROR(WriteTemporary(temporary, bytes, false));
  if (rename(temporary.c_str(), path.c_str()) != 0) return ErrnoError("rename " + temporary, errno);
  return OkStatus();
}

}  // namespace

std::string LocalJob::ToJson() const {
  const json object = {
      {"name", spec.name},
      {"working_directory", spec.working_directory},
      {"command", spec.command},
      {"environment", spec.environment},
      {"stdout", spec.stdout_path},
      {"stderr", spec.stderr_path},
      {"cpus", spec.cpus},
      {"walltime_seconds", spec.walltime.count()},
      {"warning_signal", spec.warning_signal},
      {"warning_before_seconds", spec.warning_before.count()},
      {"cancel_grace_seconds", cancel_grace.count()},
      {"submitted_us", ToMicros(submitted)},
  };
  return object.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
}

Result<LocalJob> LocalJob::FromJson(std::string_view text) {
  TRIBUTARY_ASSIGN_OR_RETURN(const json object, ParseJson(text, "job"));
  std::vector<std::string> problems;
  JsonObjectReader reader(object, "job", &problems);
  LocalJob job;
  job.spec.name = reader.String("name");
  job.spec.working_directory = reader.String("working_directory");
  job.spec.command = reader.Strings("command");
  job.spec.environment = StringMap(reader, "environment");
  job.spec.stdout_path = reader.String("stdout");
  job.spec.stderr_path = reader.String("stderr");
  job.spec.cpus = reader.Int("cpus", 1, kIntMax);
  job.spec.walltime = std::chrono::seconds(reader.Int("walltime_seconds", 0, kIntMax));
  job.spec.warning_signal = static_cast<int>(reader.Int("warning_signal", 1, SIGRTMAX));
  job.spec.warning_before = std::chrono::seconds(reader.Int("warning_before_seconds", 0, kIntMax));
  job.cancel_grace = std::chrono::seconds(reader.Int("cancel_grace_seconds", 0, kIntMax));
  job.submitted = TimeMember(reader, "submitted_us");
  TRIBUTARY_RETURN_IF_ERROR(ProblemsToStatus(problems));
  TRIBUTARY_RETURN_IF_ERROR(CheckJobSpec(job.spec));
  return job;
}

bool LocalJobDirectory::IsSubmitted() const { return PathExists(File("spec.json")); }
bool LocalJobDirectory::IsStarted() const { return PathExists(File("started")); }
bool LocalJobDirectory::IsCancelRequested() const { return PathExists(File("cancel")); }
bool LocalJobDirectory::HasEnded() const { return PathExists(File("exit.json")); }

Status LocalJobDirectory::WriteJob(const LocalJob& job) const {
  return WriteWhole(File("spec.json"), job.ToJson());
}

Result<LocalJob> LocalJobDirectory::ReadJob() const {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string text, ReadFile(File("spec.json")));
  return LocalJob::FromJson(text).Annotate(path_);
}

Status LocalJobDirectory::MarkStarted(const LocalStart& start) const {
  const json object = {{"submitted_us", ToMicros(start.submitted)},
                       {"started_us", ToMicros(start.started)}};
  // A whole file appears under the name, or the name was there: link(2) is O_EXCL with content.
  const std::string whole = File("started.new");
  TRIBUTARY_RETURN_IF_ERROR(WriteTemporary(whole, object.dump() + "\n", true));
  if (link(whole.c_str(), File("started").c_str()) != 0) {
    return ErrnoError("link " + File("started"), errno);
  }
  TRIBUTARY_RETURN_IF_ERROR(RemoveFile(whole));
  return SyncDirectory(path_);
}

Result<LocalStart> LocalJobDirectory::ReadStart() const {
  TRIBUTARY_ASSIGN_OR_RETURN(const json object, ReadJsonFile(File("started")));
  std::vector<std::string> problems;
  JsonObjectReader reader(object, "started", &problems);
  LocalStart start;
  start.submitted = TimeMember(reader, "submitted_us");
  start.started = TimeMember(reader, "started_us");
  TRIBUTARY_RETURN_IF_ERROR(ProblemsToStatus(problems));
  return start;
}

Status LocalJobDirectory::RequestCancel() const { return WriteWhole(File("cancel"), ""); }

Status LocalJobDirectory::WriteExit(const LocalExit& exit) const {
  json object = {{"state", JobStateName(exit.state)},
                 {"submitted_us", ToMicros(exit.submitted)},
                 {"ended_us", ToMicros(exit.ended)},
                 {"message", Excerpt(exit.message, kMaxJobMessageBytes)}};
  if (exit.exit_code) object["exit_code"] = *exit.exit_code;
  if (exit.started) object["started_us"] = ToMicros(*exit.started);
  return WriteWhole(File("exit.json"), object.dump() + "\n");
}

Result<LocalExit> LocalJobDirectory::ReadExit() const {
  TRIBUTARY_ASSIGN_OR_RETURN(const json object, ReadJsonFile(File("exit.json")));
  std::vector<std::string> problems;
  JsonObjectReader reader(object, "exit", &problems);
  LocalExit exit;
  const std::string state = reader.String("state");
  exit.state = JobState::kUnknown;
  for (int s = 0; s < static_cast<int>(JobState::kUnknown); ++s) {
    if (JobStateName(static_cast<JobState>(s)) == state) exit.state = static_cast<JobState>(s);
  }
  if (!IsTerminal(exit.state)) reader.Problem("state", "\"" + Excerpt(state) + "\" is no end");
  exit.submitted = TimeMember(reader, "submitted_us");
  exit.ended = TimeMember(reader, "ended_us");
  exit.message = reader.String("message");
  if (reader.Has("exit_code")) exit.exit_code = static_cast<int>(reader.Int("exit_code", 0, 255));
  if (reader.Has("started_us")) exit.started = TimeMember(reader, "started_us");
  TRIBUTARY_RETURN_IF_ERROR(ProblemsToStatus(problems));
  return exit;
}

Result<std::optional<FileDescriptor>> LocalJobDirectory::TakeLock() const {
  TRIBUTARY_ASSIGN_OR_RETURN(FileDescriptor file, OpenFile(File("lock"), O_RDWR | O_CREAT));
  struct flock whole = WholeFile();
  if (fcntl(file.get(), F_OFD_SETLK, &whole) != 0) {
    if (errno == EAGAIN || errno == EACCES) return std::optional<FileDescriptor>();
    return ErrnoError("lock " + File("lock"), errno);
  }
  if (ftruncate(file.get(), 0) != 0) return ErrnoError("truncate " + File("lock"), errno);
  return std::optional<FileDescriptor>(std::move(file));
}

Status LocalJobDirectory::CheckInheritedLock(int fd) const {
  struct stat inherited {
  }, named{};
  const bool same = fstat(fd, &inherited) == 0 && stat(File("lock").c_str(), &named) == 0 &&
                    inherited.st_dev == named.st_dev && inherited.st_ino == named.st_ino;
  struct flock whole = WholeFile();
  if (same && fcntl(fd, F_OFD_SETLK, &whole) == 0) return OkStatus();
  return FailedPreconditionError(path_ + ": the job's lock was not handed over on descriptor " +
                                 std::to_string(fd) +
                                 "; only the local adapter starts supervisors");
}

bool LocalJobDirectory::IsLocked() const {
  Result<FileDescriptor> file = OpenFile(File("lock"), O_RDWR);
  if (!file.ok()) return false;
  struct flock whole = WholeFile();
  return fcntl(file->get(), F_OFD_GETLK, &whole) == 0 && whole.l_type != F_UNLCK;
}

Status LocalJobDirectory::WriteSupervisor(int lock_fd, pid_t pid) {
  const std::string text = std::to_string(pid) + "\n";
  return WriteAll(lock_fd, text.data(), text.size(), 0);
}

std::optional<pid_t> LocalJobDirectory::ReadSupervisor() const {
  const Result<std::string> text = ReadFile(File("lock"), 64);
  if (!text.ok() || !text->ends_with('\n')) return std::nullopt;
  pid_t pid = 0;
  std::from_chars(text->data(), text->data() + text->size(), pid);
  return pid > 1 ? std::optional(pid) : std::nullopt;
}

}  // namespace tributary::scheduler_adapters

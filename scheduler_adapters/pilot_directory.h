// What PilotAdapter and its pilots tell each other, as files below one directory on a file system
// that both see:
//
//   requests/<task>            an empty file while the task waits: the pilots' only listing
//   tasks/<task>/request.json  what to run; written first, durably, and kept
//   tasks/<task>/claim.json    who runs it, or ended it before it ran; made at most once
//   tasks/<task>/cancel        asks for its end
//   tasks/<task>/end.json      how it ended; made at most once, so an end never changes
//   pilots/<pilot>/pilot.json  the pilot as it was submitted; the adapter's
//   pilots/<pilot>/state.json  its heartbeat; the pilot's
//   pilots/<pilot>/stop        asks the pilot to leave after its task; `stop` beside `pilots` asks
//                              all of them, and no new one is submitted while it is there
//
// At most once is link(2) of a whole file onto the name: it is atomic across the nodes of NFS,
// Lustre and GPFS where flock(2) may not be, and unlike a rename it leaves a mark that stays, so
// that a request which is queued twice still runs once.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "core/files.h"
#include "core/status.h"
#include "scheduler_adapters/scheduler_adapter.h"

namespace tributary::scheduler_adapters {

struct PilotRequest {
  JobSpec spec;
  Timestamp submitted;
};

struct PilotClaim {
  std::string pilot;      // empty: the adapter took it, so that no pilot does
  Timestamp incarnation;  // when that pilot's process started: a requeued job has another one
  Timestamp at;
};

struct PilotTaskEnd {
  JobState state = JobState::kFailed;  // terminal
  std::optional<int> exit_code;
  std::optional<Timestamp> started;  // absent: it never ran
  Timestamp ended;
  std::string message;
};

struct PilotTask {
  PilotRequest request;
  std::optional<PilotClaim> claim;
  bool cancel = false;
  std::optional<PilotTaskEnd> end;
};

// What a pilot is told, and what the scheduler said of it.
struct PilotRecord {
  JobSpec spec;                   // of the pilot's job; its name is the pilot's
  std::string id;                 // the scheduler's; empty: submitted, perhaps
  std::string profile;            // of the tasks that it takes
  std::chrono::seconds serve{0};  // walltime from its process's start; 0: no limit
  std::chrono::seconds idle_timeout{0};
  std::chrono::milliseconds poll_interval{0};
  std::chrono::seconds grace{0};  // from a task's SIGTERM to its SIGKILL
  Timestamp submitted;
  std::optional<JobStatus> end;  // once the scheduler said so
};

struct PilotState {
  std::int64_t pid = 0;
  std::string host;
  Timestamp started, beat;
  std::chrono::microseconds busy{0};  // with tasks, up to `beat`
  std::int64_t tasks = 0;             // that it began
  std::string current;                // task; empty: idle
  Timestamp idle_since;               // while it is idle
  std::string left;                   // why it left; empty: it has not
};

// Tasks of one profile can run in the same pilot: environment, site's shell lines, size, queue,
// account and directives are the same.
std::string PilotProfile(const JobSpec& spec);

// Holds nothing but the path. One thread; other processes at the same time.
class PilotDirectory {
 public:
  explicit PilotDirectory(std::string path) : path_(std::move(path)) {}

  const std::string& path() const { return path_; }
  Status Make() const;

  // Tasks. `writer` is the pilot's name, or any other that no pilot has.
  Status PutRequest(const PilotRequest& request) const;
  Status Queue(const std::string& task) const;
  Status Unqueue(const std::string& task) const;
  Result<std::vector<std::string>> Queued() const;
  Result<std::vector<std::string>> Tasks() const;
  // Fails when the file system does not say: that is not "no".
  Result<bool> HasTask(const std::string& task) const;
  Result<PilotTask> ReadTask(const std::string& task) const;
  Result<PilotRequest> ReadRequest(const std::string& task) const;
  Status RemoveTask(const std::string& task) const;
  // False when another one has it.
  Result<bool> Claim(const std::string& task, const PilotClaim& claim,
                     const std::string& writer) const;
  // False when its end is on record already.
  Result<bool> End(const std::string& task, const PilotTaskEnd& end,
                   const std::string& writer) const;
  Status RequestCancel(const std::string& task) const;
  bool IsCancelRequested(const std::string& task) const;

  // Pilots.
  std::string PilotPath(const std::string& pilot) const;
  Result<std::vector<std::string>> Pilots() const;
  Status PutPilot(const PilotRecord& record) const;
  Result<PilotRecord> ReadPilot(const std::string& pilot) const;
  Status RemovePilot(const std::string& pilot) const;
  Status PutState(const std::string& pilot, const PilotState& state) const;
  // Nothing: it has not come up.
  Result<std::optional<PilotState>> ReadState(const std::string& pilot) const;
  bool IsStopRequested(const std::string& pilot) const;
  bool AreAllStopped() const;
  Status RequestStop(const std::string& pilot) const;

 private:
  std::string TaskFile(const std::string& task, std::string_view file) const;
  std::string PilotFile(const std::string& pilot, std::string_view file) const;

  std::string path_;
};

}  // namespace tributary::scheduler_adapters

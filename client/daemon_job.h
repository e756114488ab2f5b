// The daemon as a job of its own site's scheduler, for centers whose login nodes let nothing stay.
// One job follows the other: each submits its successor before its own end comes, goes on while
// that waits in the queue, and leaves when it runs. The state directory's lock sees to it that one
// at most serves the site.
#pragma once

#include <memory>
#include <string>
#include <thread>

#include "client/client_config.h"
#include "core/clock.h"
#include "core/mutex.h"
#include "core/status.h"
#include "scheduler_adapters/scheduler_adapter.h"

namespace tributary::client {

// The variable by which a daemon's job knows its own name.
inline constexpr const char* kDaemonJobVariable = "TRIBUTARY_DAEMON_JOB";

struct DaemonJobOptions {
  const ClientConfig& config;  // with a section daemon_job
  std::string site;
  std::string program;      // absolute, seen by jobs; runs as "PROGRAM run --in-job --config PATH"
  std::string config_path;  // absolute
};

// "tribd-<of this daemon>.": no prefix of a task's job.
std::string DaemonJobPrefix(const ClientConfig& config, const std::string& site);

// As long as this file is there, no such job is submitted.
std::string DaemonJobStopFile(const ClientConfig& config);

// The name of the job after this one.
std::string SuccessorName(const std::string& name);

scheduler_adapters::JobSpec MakeDaemonJob(const DaemonJobOptions& options, const std::string& name);

// On a login node: submits the first job, unless one waits or runs. Safe to be run again and again,
// also at once. Returns what there is now, for people.
Result<std::string> EnsureDaemonJob(const DaemonJobOptions& options, const Clock& clock);

// In the job `name`. Thread-safe; `clock` outlives it.
class DaemonSuccession {
 public:
  static Result<std::unique_ptr<DaemonSuccession>> Start(const DaemonJobOptions& options,
                                                         const std::string& name,
                                                         const Clock& clock);
  ~DaemonSuccession();

  // This job could serve: it runs, sees the state directory, and reaches the server, or a proxy.
  // The one before it leaves only then.
  Status SayReady();
  // Once this one serves, nobody needs what those before it noted.
  void ForgetEarlier();
  // The successor runs: this one is to leave.
  bool HandedOver();

 private:
  DaemonSuccession(const DaemonJobOptions& options, std::string name, const Clock& clock)
      : options_(options), name_(std::move(name)), clock_(clock) {}
  void Loop();
  std::string ReadyMarkOf(const std::string& name) const;
  // True when a successor could serve. Submits it, and another one for one that ended.
  Result<bool> LookAfterSuccessor();
  bool Sleep(std::chrono::milliseconds time);  // false: it is to end

  const DaemonJobOptions options_;
  const std::string name_;
  const Clock& clock_;
  std::unique_ptr<scheduler_adapters::SchedulerAdapter> adapter_;
  std::string successor_;
  Mutex mutex_;
  CondVar changed_;
  bool stopping_ TRIBUTARY_GUARDED_BY(mutex_) = false;
  bool handed_over_ TRIBUTARY_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace tributary::client

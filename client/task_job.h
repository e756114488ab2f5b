// The jobs of one task, one after the other until one leaves a result: submitted once each, watched
// for stalls, resumed when a node was lost, and counted.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "client/client_config.h"
#include "client/client_journal.h"
#include "client/forecast.h"
#include "client/job_monitor.h"
#include "client/site_ledger.h"
#include "client/task_workspace.h"
#include "core/clock.h"
#include "core/status.h"
#include "core/task_contract.h"

namespace tributary::client {

// What people who watch a task hear about its job.
struct JobNews {
  std::string phase;  // submitting, queued, held, running, ...
  std::optional<ProgressLine> progress = {};
  std::optional<Forecast> forecast = {};  // while queued: seconds from `submitted`
  Timestamp submitted = {};
  std::string message = {};  // the scheduler's
  bool goes_on = false;      // the scheduler has the job, and there is nothing to do but wait
};

// What a job needs from the life of its task.
struct TaskHost {
  std::function<bool()> keep_going;  // false: withdrawn, or stopping
  std::function<Status()> save;      // the record, durably
  std::function<void(const JobNews&)> tell;
  std::function<void(std::chrono::milliseconds)> pause;  // ends early when keep_going changes
};

// Serves all tasks of a daemon. Thread-safe; one call at a time for one task. What it borrows
// outlives it.
class TaskJobs {
 public:
  TaskJobs(const ClientConfig& config, const std::string& site, const Clock& clock,
           JobMonitor& jobs, SiteLedger& ledger);

  // From kSubmitting or kSubmitted to the end of the task's last job, which it returns; whether
  // there is a result is for the caller to see. `found`: a job may exist that the record does not
  // know. Cancelled when the host does not keep going; jobs then run on.
  Result<scheduler_adapters::JobStatus> Run(TaskRecord& record, const TaskWorkspace& workspace,
                                            const TaskFile& task, bool found, const TaskHost& host);

  // No job of the task runs any more, or goes on without us knowing. False when `go_on` says no
  // before that is sure.
  bool End(TaskRecord& record, const std::function<bool()>& go_on,
           const std::function<void(std::chrono::milliseconds)>& pause);

  // Ends jobs of this daemon that no known task owns. Waits for a scheduler that is down.
  void SweepOrphans(const std::function<std::vector<std::string>()>& known_tasks,
                    const std::function<bool()>& go_on,
                    const std::function<void(std::chrono::milliseconds)>& pause);

  // What the scheduler's adapter has on record of ended jobs goes, but for those of known tasks.
  void ForgetEnded(const std::function<std::vector<std::string>()>& known_tasks);

  std::string FirstName(const std::string& task) const;  // of a task's first job

 private:
  // For a cause outside the task no further job is spent.
  Status AwaitRoom(const TaskWorkspace& workspace, const TaskHost& host);
  Status Submit(TaskRecord& record, const TaskWorkspace& workspace, const TaskFile& task,
                bool found, const TaskHost& host);
  Result<scheduler_adapters::JobStatus> Await(TaskRecord& record, const TaskWorkspace& workspace,
                                              const TaskHost& host);
  // Of a job that the adapter does not tell anything about: its status once nobody knows its name
  // for a while; nothing as long as it is to be waited for.
  std::optional<scheduler_adapters::JobStatus> LookAfterLost(
      TaskRecord& record, std::optional<std::chrono::microseconds>* lost_since);
  Status Enter(const TaskRecord& record, const scheduler_adapters::JobSpec& spec);
  void NoteStart(const std::string& name, const scheduler_adapters::JobStatus& status);
  void NoteEnd(TaskRecord& record, const scheduler_adapters::JobStatus& status);
  void NoteNoJob(const std::string& name);
  // Cancels the record's job, again and again until its end is seen: a scheduler may forget the
  // wish. NotFound: nobody knows a job of its name. Cancelled: `go_on` says no before that.
  Result<scheduler_adapters::JobStatus> CancelUntilEnded(
      TaskRecord& record, const std::function<bool()>& go_on,
      const std::function<void(std::chrono::milliseconds)>& pause);
  // Once, by its name, so that it is known whose it is.
  bool CancelOrphan(const std::string& name, const std::function<bool()>& go_on,
                    const std::function<void(std::chrono::milliseconds)>& pause);
  std::optional<Forecast> ForecastFor(const JobEntry& job, const std::string& id);

  const ClientConfig& config_;
  const std::string prefix_, old_prefix_;
  const Clock& clock_;
  JobMonitor& jobs_;
  SiteLedger& ledger_;
  Mutex entering_;  // from the check of the allocation to the entry that uses it
};

}  // namespace tributary::client

// The life of each task at a site: journaled, downloaded, staged, submitted, awaited, checked,
// signed, uploaded, acknowledged.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>

#include "client/client_config.h"
#include "client/client_journal.h"
#include "client/job_monitor.h"
#include "client/site_ledger.h"
#include "client/task_job.h"
#include "client/task_workspace.h"
#include "client/transfer.h"
#include "client/uplink.h"
#include "core/clock.h"
#include "core/log_limit.h"
#include "core/mutex.h"
#include "security/pki.h"

namespace tributary::client {

struct RunnerParts {
  const ClientConfig& config;
  std::string site;
  security::PrivateKey key;
  const Clock& clock;
  ClientJournal& journal;
  SiteLedger& ledger;
  JobMonitor& jobs;
  Transfer& transfer;
  Uplink& uplink;
};

// Thread-safe. What `parts` borrows outlives the runner. Which tasks there are is in
// task_runner.cc; what becomes of one, in task_life.cc.
class TaskRunner {
 public:
  explicit TaskRunner(RunnerParts parts);
  ~TaskRunner();  // stops; jobs run on, the journal knows where to continue

  // Continues what the journal holds, under the offers that it holds, both checked again.
  Status Recover(const std::map<std::string, v1::CampaignOffer>& offers);

  // A task of the offer, checked (assignment_check.h). One that is already known is not begun
  // again.
  void Assign(const v1::CampaignOffer& offer, const v1::TaskAssignment& task);
  // A task whose names alone are sound (CheckTaskNames): its report is a failure with this reason.
  void Refuse(const v1::TaskAssignment& task, const std::string& reason);
  void Cancel(const std::string& task, const std::string& reason);
  void Acknowledge(const v1::ReportAck& ack);
  // The scheduler and its version; empty as long as it did not answer.
  std::string SchedulerVersion();
  // For Hello: what this site works on.
  std::vector<std::string> KnownTasks();
  // Nothing can be done now: each task waits for its job, or to be begun.
  bool AtRest();
  // The connection is back: reports that wait are sent again.
  void Reconnected();
  // The campaign ended: its tasks are cancelled, its directory goes when the last one is gone.
  void CloseCampaign(const std::string& campaign);

 private:
  struct Active {
    TaskRecord record;
    v1::CampaignOffer offer;
    ProgressLine progress;  // the last that was read
    bool cancelled = false;
    bool acknowledged = false;
    bool counted = false;    // the acknowledgement said that the update counts
    bool resend = false;     // the server asked for the blob again
    bool report_due = true;  // send the report at the next chance
    bool job_ended = false;  // seen by this process
    bool journaled = true;
    bool waits = false;      // for its job, which the scheduler has
    bool recovered = false;  // a job may exist that the journal does not know
    std::string refusal;     // why nothing of it is done
    std::chrono::steady_clock::time_point not_before;  // the server asked for a pause
  };
  using ActivePtr = std::shared_ptr<Active>;

  ActivePtr Admit(const v1::TaskAssignment& task);
  void Enqueue(ActivePtr task);
  void WorkerLoop();
  void RunTask(const ActivePtr& task);
  ActivePtr NextDue() TRIBUTARY_REQUIRES(mutex_);
  // From kReceived to kReady; the error becomes the report of a failure.
  Status Produce(const ActivePtr& task, const TaskWorkspace& workspace);
  Status Stage(const ActivePtr& task, const TaskWorkspace& workspace, const TaskFile& file);
  // Runs `work` again as long as this end's disk is full: that says nothing about the task.
  Status Patiently(const ActivePtr& task, const char* what, const std::function<Status()>& work);
  Status Download(const ActivePtr& task, const TaskWorkspace& workspace);
  TaskHost HostOf(const ActivePtr& task);
  Status SignAndKeep(const ActivePtr& task, v1::Statement statement);
  void Deliver(const ActivePtr& task, const TaskWorkspace& workspace);
  Status ReportLoss(const ActivePtr& task);
  bool EndJob(const ActivePtr& task);
  void Forget(const ActivePtr& task, const TaskWorkspace& workspace);
  void KeepOwnAdapter(const ActivePtr& task, const TaskWorkspace& workspace);
  void KeepUpdate(const ActivePtr& task, const TaskWorkspace& workspace);
  void ForgetEndedJobs();
  void RemoveOldVersions(const TaskWorkspace& workspace);

  bool KeepGoing(const ActivePtr& task);
  void Report(const ActivePtr& task, const std::string& phase) { Tell(task, {.phase = phase}); }
  void Tell(const ActivePtr& task, const JobNews& news);
  void Pause(std::chrono::milliseconds time);
  void SweepOrphans();
  Status Save(const ActivePtr& task);

  const RunnerParts parts_;
  TaskJobs task_jobs_;
  LogLimit log_limit_;

  Mutex mutex_;
  CondVar changed_;
  std::map<std::string, ActivePtr> active_ TRIBUTARY_GUARDED_BY(mutex_);
  std::deque<ActivePtr> waiting_ TRIBUTARY_GUARDED_BY(mutex_);
  std::set<std::string> closed_ TRIBUTARY_GUARDED_BY(mutex_);
  bool stopping_ TRIBUTARY_GUARDED_BY(mutex_) = false;
  std::string scheduler_version_ TRIBUTARY_GUARDED_BY(mutex_);
  std::vector<std::thread> workers_;
  std::thread sweeper_;  // once, after Recover()
};

}  // namespace tributary::client

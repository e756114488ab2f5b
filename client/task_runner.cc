#include "client/task_runner.h"

#include <algorithm>
#include <chrono>

#include "client/assignment_check.h"
#include "client/site_state.h"
#include "core/files.h"
#include "core/log.h"
#include "core/wire_bounds.h"

namespace tributary::client {
namespace {

constexpr std::chrono::seconds kAskVersionAgain{30};  // a scheduler that does not say its version
constexpr std::size_t kMaxTasks = 1000;  // at a time: more than any honest server gives
static_assert(kMaxTasks <= kMaxKnownTasks);
constexpr std::chrono::milliseconds kLookAgain{250};
constexpr std::chrono::seconds kLongestDelay{3600};

}  // namespace

TaskRunner::TaskRunner(RunnerParts parts)
    : parts_(std::move(parts)),
      task_jobs_(parts_.config, parts_.site, parts_.clock, parts_.jobs, parts_.ledger) {
  for (std::int64_t i = 0; i < parts_.config.job.max_concurrent; ++i) {
    workers_.emplace_back([this] { WorkerLoop(); });
  }
}

TaskRunner::~TaskRunner() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    changed_.NotifyAll();
  }
  parts_.jobs.Stop();
  parts_.transfer.CancelCalls();
  for (std::thread& worker : workers_) worker.join();
  if (sweeper_.joinable()) sweeper_.join();
}

Status TaskRunner::Recover(const std::map<std::string, v1::CampaignOffer>& offers) {
  TRIBUTARY_ASSIGN_OR_RETURN(auto records, parts_.journal.LoadTasks());
  MutexLock lock(mutex_);
  for (TaskRecord& record : records) {
    if (const Status status = CheckTaskRecord(record); !status.ok()) {
      // A job of it, if there is one, belongs to no task that is known, and is swept.
      LogError("client", "a task of the journal is not continued",
               {{"task", record.assignment.task()}, {"reason", status}});
      TRIBUTARY_RETURN_IF_ERROR(parts_.journal.RemoveTask(record.assignment.task()));
      continue;
    }
    auto task = std::make_shared<Active>();
    const auto offer = offers.find(record.assignment.campaign());
    if (offer != offers.end()) task->offer = offer->second;
    task->cancelled = offer == offers.end();
    task->recovered = true;
    LogInfo("client", "continuing task", {{"task", record.assignment.task()}, {"job", record.job}});
    task->record = std::move(record);
    active_[task->record.assignment.task()] = task;
    waiting_.push_back(std::move(task));
  }
  changed_.NotifyAll();
  sweeper_ = std::thread([this] { SweepOrphans(); });
  return OkStatus();
}

// Jobs that this daemon submitted and then forgot: its journal was lost or replaced.
void TaskRunner::SweepOrphans() {
  const auto known = [this] {
    MutexLock lock(mutex_);
    std::vector<std::string> ids;
    for (const auto& [id, task] : active_) ids.push_back(id);
    return ids;
  };
  const auto go_on = [this] {
    MutexLock lock(mutex_);
    return !stopping_;
  };
  task_jobs_.SweepOrphans(known, go_on, [this](auto time) { Pause(time); });
  if (go_on()) ForgetEndedJobs();  // of earlier versions, which kept them all
  auto version = parts_.jobs.Version();
  while (!version.ok() && go_on()) {
    Pause(kAskVersionAgain);
    version = parts_.jobs.Version();
  }
  if (!version.ok()) return;
  MutexLock lock(mutex_);
  scheduler_version_ = *version;
}

std::string TaskRunner::SchedulerVersion() {
  MutexLock lock(mutex_);
  return scheduler_version_;
}

void TaskRunner::Pause(std::chrono::milliseconds time) {
  MutexLock lock(mutex_);
  if (!stopping_) (void)changed_.WaitFor(mutex_, time);
}

// Null for a task that is known already, or one too many: the server assigns it again when nothing
// is heard of it.
TaskRunner::ActivePtr TaskRunner::Admit(const v1::TaskAssignment& assignment) {
  auto task = std::make_shared<Active>();
  task->record.assignment = assignment;
  MutexLock lock(mutex_);
  if (stopping_ || active_.contains(assignment.task())) return nullptr;
  if (active_.size() >= kMaxTasks) {
    log_limit_.Log("too many", LogLevel::kWarning, "client", "task not taken: there are too many",
                   {{"task", assignment.task()}, {"tasks", active_.size()}});
    return nullptr;
  }
  closed_.erase(assignment.campaign());  // accepted again
  active_[assignment.task()] = task;
  return task;
}

void TaskRunner::Enqueue(ActivePtr task) {
  MutexLock lock(mutex_);
  waiting_.push_back(std::move(task));
  changed_.NotifyAll();
}

void TaskRunner::Assign(const v1::CampaignOffer& offer, const v1::TaskAssignment& assignment) {
  ActivePtr task = Admit(assignment);
  if (!task) return;
  task->offer = offer;
  task->not_before =
      std::chrono::steady_clock::now() +
      std::clamp<std::chrono::seconds>(std::chrono::seconds(assignment.delay_seconds()),
                                       std::chrono::seconds(0), kLongestDelay);
  // What cannot be journaled now (a full disk) is, before anything of it is done.
  task->journaled = parts_.journal.SaveTask(task->record).ok();
  Enqueue(std::move(task));
}

// Nothing that was not checked is kept. The journal hears of it with the signed report.
void TaskRunner::Refuse(const v1::TaskAssignment& assignment, const std::string& reason) {
  v1::TaskAssignment names;
  names.set_task(assignment.task());
  names.set_campaign(assignment.campaign());
  names.set_kind(assignment.kind());
  names.set_global_version(assignment.global_version());
  ActivePtr task = Admit(names);
  if (!task) return;
  task->refusal = reason;
  Enqueue(std::move(task));
}

void TaskRunner::Cancel(const std::string& id, const std::string& reason) {
  {
    MutexLock lock(mutex_);
    const auto it = active_.find(id);
    if (it == active_.end()) return;
    it->second->cancelled = true;
    changed_.NotifyAll();
  }
  LogInfo("client", "task withdrawn by the server", {{"task", id}, {"reason", reason}});
  parts_.jobs.Wake();
}

// The site's state moves here, on the thread that receives, and so before a task of the next round
// can be staged with it.
void TaskRunner::Acknowledge(const v1::ReportAck& ack) {
  ActivePtr task;
  {
    MutexLock lock(mutex_);
    const auto it = active_.find(ack.task());
    if (it == active_.end()) return;
    task = it->second;
  }
  if (ack.counts()) {  // without the lock: a slow disk holds up no other task
    const TaskWorkspace workspace(parts_.config.workspace, task->record.assignment);
    const Status moved = CommitState(workspace.NextStatePath(), workspace.StatePath());
    if (!moved.ok()) {
      LogError("client", "what the site keeps for its next task was not moved; will try again",
               {{"task", ack.task()}, {"reason", moved}});
      return;  // reported again after a while, the server acknowledges again
    }
  }
  MutexLock lock(mutex_);
  (ack.resend() ? task->resend : task->acknowledged) = true;
  task->counted = ack.counts();
  if (!ack.resend() && !ack.accepted()) {
    LogWarning("client", "the update does not count",
               {{"task", ack.task()}, {"reason", ack.reason()}});
  }
  changed_.NotifyAll();
}

std::vector<std::string> TaskRunner::KnownTasks() {
  MutexLock lock(mutex_);
  std::vector<std::string> tasks;
  for (const auto& [id, task] : active_) tasks.push_back(id);
  return tasks;
}

// One that is at work in no worker and is due will be, unless all workers are taken.
bool TaskRunner::AtRest() {
  const auto now = std::chrono::steady_clock::now();
  MutexLock lock(mutex_);
  std::size_t at_work = active_.size() - waiting_.size();
  const bool workers_free = at_work < workers_.size();
  for (const ActivePtr& task : waiting_) {
    if (workers_free && (task->cancelled || task->not_before <= now)) return false;
  }
  for (const auto& [id, task] : active_) {
    if (task->waits && !task->cancelled) --at_work;
  }
  return at_work == 0;
}

void TaskRunner::Reconnected() {
  MutexLock lock(mutex_);
  for (auto& [id, task] : active_) task->report_due = true;
  changed_.NotifyAll();
}

void TaskRunner::CloseCampaign(const std::string& campaign) {
  bool idle = true;
  {
    MutexLock lock(mutex_);
    closed_.insert(campaign);
    for (auto& [id, task] : active_) {
      if (task->record.assignment.campaign() != campaign) continue;
      task->cancelled = true;
      idle = false;
    }
    changed_.NotifyAll();
  }
  parts_.jobs.Wake();
  if (!idle) return;
  {
    MutexLock lock(mutex_);
    closed_.erase(campaign);
  }
  if (const Status status = RemoveTree(JoinPath(parts_.config.workspace, campaign)); !status.ok()) {
    LogWarning("client", "campaign directory stays", {{"campaign", campaign}, {"reason", status}});
  }
}

void TaskRunner::WorkerLoop() {
  while (true) {
    ActivePtr task;
    {
      MutexLock lock(mutex_);
      while (!stopping_ && (task = NextDue()) == nullptr) {
        if (waiting_.empty()) {
          changed_.Wait(mutex_);
        } else {
          (void)changed_.WaitFor(mutex_, kLookAgain);  // for one that comes due
        }
      }
      if (stopping_) return;
    }
    RunTask(task);
  }
}

// The first that need not wait any more; a withdrawn one need not.
TaskRunner::ActivePtr TaskRunner::NextDue() {
  const auto now = std::chrono::steady_clock::now();
  const auto due = std::find_if(waiting_.begin(), waiting_.end(), [&](const ActivePtr& task) {
    return task->cancelled || task->not_before <= now;
  });
  if (due == waiting_.end()) return nullptr;
  ActivePtr task = std::move(*due);
  waiting_.erase(due);
  return task;
}

}  // namespace tributary::client

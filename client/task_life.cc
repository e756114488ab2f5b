// The life of one task: from its assignment to the acknowledgement of its report.
#include <algorithm>
#include <chrono>

#include "client/assignment_check.h"
#include "client/backoff.h"
#include "client/launcher.h"
#include "client/offer_check.h"
#include "client/policy.h"
#include "client/sent_update.h"
#include "client/site_adapter.h"
#include "client/task_report.h"
#include "client/task_runner.h"
#include "core/files.h"
#include "core/log.h"
#include "core/text.h"
#include "core/wire_bounds.h"
#include "security/signature.h"

namespace tributary::client {
namespace {

using scheduler_adapters::JobStatus;

constexpr std::chrono::seconds kReportAgain{30};  // an acknowledgement that does not come
constexpr std::chrono::milliseconds kSubmitPause{2000};
constexpr std::chrono::milliseconds kUploadPause{1000};
// How long a file system that does not answer is waited for before the task fails.
constexpr std::chrono::minutes kLongestTrouble{30};
constexpr std::string_view kPartialMark = ".safetensors-";  // then the task's id
constexpr std::string_view kPartialSuffix = ".part";        // Transfer's, of what is not whole

// The same task would end in the same way: forbidden here, wrong in itself, or an update that is no
// right one, which its seed makes again.
bool IsDeterministic(const Status& status) {
  return status.code() == StatusCode::kPermissionDenied ||
         status.code() == StatusCode::kInvalidArgument;
}

// Model and data were there when the campaign was accepted: what is away now may come back.
Status AwayForNow(const Status& files) {
  if (files.code() != StatusCode::kPermissionDenied) return files;
  return UnavailableError(files.message());
}

}  // namespace

bool TaskRunner::KeepGoing(const ActivePtr& task) {
  MutexLock lock(mutex_);
  return !stopping_ && !task->cancelled;
}

// A journal that cannot be written (a full disk) is waited out: it says nothing about the task.
Status TaskRunner::Save(const ActivePtr& task) {
  Backoff backoff(kSubmitPause, kReportAgain);
  while (true) {
    const Status status = parts_.journal.SaveTask(task->record);
    if (status.ok()) return status;
    LogError("client", "the journal cannot be written; will try again", {{"reason", status}});
    const auto until = std::chrono::steady_clock::now() + backoff.Next();
    MutexLock lock(mutex_);
    while (!stopping_ && !task->cancelled && changed_.WaitUntil(mutex_, until)) {
    }
    if (stopping_ || task->cancelled) return status;
  }
}

void TaskRunner::Tell(const ActivePtr& task, const JobNews& news) {
  v1::ClientMessage message;
  v1::TaskProgress* progress = message.mutable_progress();
  progress->set_task(task->record.assignment.task());
  progress->set_phase(news.phase);
  progress->set_job(task->record.job);
  progress->set_attempt(task->record.attempt);
  progress->set_message(news.message);
  if (news.progress) task->progress = *news.progress;
  progress->set_step(task->progress.step);
  progress->set_steps(task->progress.steps);
  progress->set_loss(task->progress.loss);
  if (news.forecast) {
    const auto at = [&](double seconds) {
      return ToMicros(news.submitted) + static_cast<std::int64_t>(seconds * 1e6);
    };
    progress->set_start_p50_us(at(news.forecast->p50));
    progress->set_start_p80_us(at(news.forecast->p80));
    progress->set_start_p95_us(at(news.forecast->p95));
  }
  (void)parts_.uplink.Send(message);  // for people who watch; may be lost
}

TaskHost TaskRunner::HostOf(const ActivePtr& task) {
  return {[this, task] { return KeepGoing(task); }, [this, task] { return Save(task); },
          [this, task](const JobNews& news) {
            {
              MutexLock lock(mutex_);
              task->waits = news.goes_on;
            }
            Tell(task, news);
          },
          [this](std::chrono::milliseconds time) { Pause(time); }};
}

// The whole life of a task, in order. Each step leaves the journal so that a restart continues at
// the next.
void TaskRunner::RunTask(const ActivePtr& task) {
  const TaskWorkspace workspace(parts_.config.workspace, task->record.assignment);
  if (task->record.phase != Phase::kReady && KeepGoing(task)) {
    const Status status =
        task->refusal.empty() ? Produce(task, workspace) : InvalidArgumentError(task->refusal);
    if (!status.ok() && KeepGoing(task)) {
      LogError("client", "task failed",
               {{"task", task->record.assignment.task()}, {"reason", status}});
      v1::Statement statement = StatementOf(task->record, parts_.site);
      statement.set_outcome(v1::OUTCOME_FAILED);
      statement.set_message(status.message());
      statement.set_refused(IsDeterministic(status));
      if (const Status kept = SignAndKeep(task, std::move(statement)); !kept.ok()) {
        LogError("client", "failure cannot be journaled; the task is tried again after a restart",
                 {{"reason", kept}});
        return;
      }
    }
  }
  if (KeepGoing(task)) Deliver(task, workspace);
  {
    MutexLock lock(mutex_);
    if (!task->cancelled && !task->acknowledged) return;  // stopping: the journal has the rest
  }
  Forget(task, workspace);
}

Status TaskRunner::Produce(const ActivePtr& task, const TaskWorkspace& workspace) {
  TRIBUTARY_RETURN_IF_ERROR(CheckTask(parts_.config.policy, task->offer, task->record.assignment));
  TRIBUTARY_RETURN_IF_ERROR(CheckDownloads(task->offer, task->record.assignment));
  if (!task->journaled) TRIBUTARY_RETURN_IF_ERROR(Save(task));
  const TaskFile file = MakeTaskFile(task->offer, task->record.assignment, *parts_.config.policy,
                                     parts_.site, ThreadsOf(parts_.config.job));
  if (task->record.phase == Phase::kReceived) {
    if (auto sent = FindSent(workspace, task->record.assignment)) {
      task->job_ended = true;
      return SignAndKeep(task, *std::move(sent));
    }
    TRIBUTARY_RETURN_IF_ERROR(Patiently(task, "the task's files cannot be read", [&] {
      return AwayForNow(CheckFiles(*parts_.config.policy, task->offer));
    }));
    TRIBUTARY_RETURN_IF_ERROR(
        Patiently(task, "the task cannot be staged", [&] { return Stage(task, workspace, file); }));
    task->record.job_name = task_jobs_.FirstName(task->record.assignment.task());
    task->record.phase = Phase::kSubmitting;
    TRIBUTARY_RETURN_IF_ERROR(Save(task));
  }
  TRIBUTARY_ASSIGN_OR_RETURN(const JobStatus job, task_jobs_.Run(task->record, workspace, file,
                                                                 task->recovered, HostOf(task)));
  task->job_ended = true;
  {
    MutexLock lock(mutex_);
    task->waits = false;
  }
  Report(task, "packaging");
  const FinishedTask finished{task->record,  task->offer, workspace,
                              parts_.config, parts_.site, parts_.clock};
  v1::Statement statement;
  TRIBUTARY_RETURN_IF_ERROR(Patiently(task, "the update cannot be written", [&]() -> Status {
    TRIBUTARY_ASSIGN_OR_RETURN(statement, MakeStatement(finished, job));
    return OkStatus();
  }));
  return SignAndKeep(task, std::move(statement));
}

Status TaskRunner::Stage(const ActivePtr& task, const TaskWorkspace& workspace,
                         const TaskFile& file) {
  TRIBUTARY_RETURN_IF_ERROR(workspace.Create());
  TRIBUTARY_RETURN_IF_ERROR(Download(task, workspace));
  return workspace.Stage(task->offer, file);
}

Status TaskRunner::Patiently(const ActivePtr& task, const char* what,
                             const std::function<Status()>& work) {
  Backoff backoff(kSubmitPause, kReportAgain);
  const auto give_up = std::chrono::steady_clock::now() + kLongestTrouble;
  const auto passes = [&](const Status& status) {
    return status.code() == StatusCode::kResourceExhausted ||
           (status.code() == StatusCode::kUnavailable &&
            std::chrono::steady_clock::now() < give_up);
  };
  Status status = work();
  while (passes(status) && KeepGoing(task)) {
    LogError("client", std::string(what) + "; will try again",
             {{"task", task->record.assignment.task()}, {"reason", status}});
    Pause(backoff.Next());
    status = work();
  }
  return status;
}

Status TaskRunner::Download(const ActivePtr& task, const TaskWorkspace& workspace) {
  const v1::TaskAssignment& assignment = task->record.assignment;
  Report(task, "downloading");
  const auto begin = parts_.clock.Elapsed();
  TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<NeededFile> needs, workspace.Needs());
  for (const NeededFile& file : needs) {
    TRIBUTARY_ASSIGN_OR_RETURN(const bool here, workspace.Take(file));
    if (here) continue;
    const std::string partial = file.shared + "-" + assignment.task();
    TRIBUTARY_RETURN_IF_ERROR(
        parts_.transfer.Download(file.digest, file.bytes, partial, [&] { return KeepGoing(task); })
            .Annotate("download of version " + std::to_string(assignment.global_version())));
    TRIBUTARY_RETURN_IF_ERROR(workspace.Keep(file, partial));
  }
  const std::chrono::duration<double> took = parts_.clock.Elapsed() - begin;
  task->record.download_seconds = std::max(0.0, took.count());
  return OkStatus();
}

Status TaskRunner::SignAndKeep(const ActivePtr& task, v1::Statement statement) {
  statement.set_message(Printable(statement.message(), kMaxStatementMessage));
  v1::TaskReport& report = task->record.report;
  report.set_task(statement.task());
  report.set_statement(statement.SerializeAsString());
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string signature,
                             security::Sign(parts_.key, report.statement()));
  report.set_signature(signature);
  task->record.phase = Phase::kReady;
  return Save(task);
}

// Uploads, reports, and reports again until the server has acknowledged.
void TaskRunner::Deliver(const ActivePtr& task, const TaskWorkspace& workspace) {
  v1::Statement statement;
  statement.ParseFromString(task->record.report.statement());
  const auto digest = Digest::FromHex(statement.digest());
  bool upload = digest.ok();
  Backoff backoff(kUploadPause, kReportAgain);
  while (KeepGoing(task)) {
    if (upload) {
      upload = false;
      Report(task, "uploading");
      const Status status =
          parts_.transfer.Upload(workspace.DeltaPath(), *digest, statement.bytes(),
                                 statement.task(), [&] { return KeepGoing(task); });
      if (!status.ok() && KeepGoing(task)) {
        // Its answer to the report says whether the server still wants it: no, when the round is
        // closed.
        LogWarning("client", "upload refused", {{"task", statement.task()}, {"reason", status}});
        const auto here = Sha256OfFile(workspace.DeltaPath());
        if (!here.ok() || *here != *digest) {
          if (const Status lost = ReportLoss(task); !lost.ok()) return;
        }
        MutexLock lock(mutex_);
        if (!stopping_) (void)changed_.WaitFor(mutex_, backoff.Next());
      }
    }
    v1::ClientMessage message;
    *message.mutable_report() = task->record.report;
    {
      MutexLock lock(mutex_);
      task->report_due = false;
    }
    (void)parts_.uplink.Send(message);
    MutexLock lock(mutex_);
    const auto again = std::chrono::steady_clock::now() + kReportAgain;
    while (!stopping_ && !task->cancelled && !task->acknowledged && !task->resend &&
           !task->report_due) {
      if (!changed_.WaitUntil(mutex_, again)) break;
    }
    if (task->acknowledged) return;
    upload = std::exchange(task->resend, false) && digest.ok();
  }
}

// The update file is gone from the site's own disk, or is not what it was when the site signed: an
// honest failure, so that the task is given again.
Status TaskRunner::ReportLoss(const ActivePtr& task) {
  v1::Statement statement = StatementOf(task->record, parts_.site);
  statement.set_outcome(v1::OUTCOME_FAILED);
  statement.set_message("the update was lost or damaged at the site before it was sent");
  return SignAndKeep(task, std::move(statement));
}

// No job of the task runs any more, or goes on without us knowing. False when the daemon stops
// before that is sure.
bool TaskRunner::EndJob(const ActivePtr& task) {
  if (task->job_ended) return true;
  const auto go_on = [this] {
    MutexLock lock(mutex_);
    return !stopping_;
  };
  return task_jobs_.End(task->record, go_on, [this](auto time) { Pause(time); });
}

void TaskRunner::Forget(const ActivePtr& task, const TaskWorkspace& workspace) {
  const std::string& id = task->record.assignment.task();
  KeepOwnAdapter(task, workspace);
  KeepUpdate(task, workspace);
  if (!EndJob(task)) return;  // stopping: the journal has it, the server withdraws it again
  for (const Status& status : {workspace.Remove(), parts_.journal.RemoveTask(id)}) {
    if (!status.ok()) LogWarning("client", "clean-up failed", {{"task", id}, {"reason", status}});
  }
  RemoveOldVersions(workspace);
  bool last = false;
  const std::string campaign = task->record.assignment.campaign();
  {
    MutexLock lock(mutex_);
    active_.erase(id);
    last = closed_.contains(campaign) &&
           std::none_of(active_.begin(), active_.end(), [&](const auto& other) {
             return other.second->record.assignment.campaign() == campaign;
           });
  }
  if (last) CloseCampaign(campaign);
  ForgetEndedJobs();
}

// Nobody asks about jobs of tasks that are done and acknowledged.
void TaskRunner::ForgetEndedJobs() {
  task_jobs_.ForgetEnded([this] { return KnownTasks(); });
}

void TaskRunner::KeepUpdate(const ActivePtr& task, const TaskWorkspace& workspace) {
  {
    MutexLock lock(mutex_);
    if (!task->counted) return;
  }
  v1::Statement statement;
  if (!statement.ParseFromString(task->record.report.statement())) return;
  const Status kept = KeepSent(workspace, task->record.assignment, statement);
  if (!kept.ok()) {
    LogWarning("client", "the update is not kept: if the server loses it, it is trained again",
               {{"task", task->record.assignment.task()}, {"reason", kept}});
  }
}

// Where the strategy leaves each site with an adapter of its own: before its directory goes.
void TaskRunner::KeepOwnAdapter(const ActivePtr& task, const TaskWorkspace& workspace) {
  const v1::TaskAssignment& assignment = task->record.assignment;
  bool counted = false;
  {
    MutexLock lock(mutex_);
    counted = task->counted;
  }
  const bool evaluated = assignment.kind() == v1::TASK_KIND_EVALUATE;
  if (!HasSiteAdapter(assignment) || !(counted || evaluated)) return;
  const auto result = workspace.ReadResult();
  if (!result.ok() || result->completion == Completion::kFailed) return;
  const Status kept = KeepSiteAdapter(parts_.config.workspace, assignment, workspace, *result);
  if (!kept.ok()) {
    LogError("client", "the site's own adapter is not kept",
             {{"task", assignment.task()}, {"reason", kept}});
  }
}

// Second names of versions that no task of this client uses any more, but the newest, which the
// next task may; and what a task that is gone had downloaded of one. A task that begins meanwhile
// downloads again at worst.
void TaskRunner::RemoveOldVersions(const TaskWorkspace& workspace) {
  std::set<std::string> used, tasks;
  const auto add = [&](const TaskWorkspace& of) {
    const auto needs = of.Needs();
    if (!needs.ok()) return;  // of a refused task: nothing
    for (const NeededFile& file : *needs) used.insert(file.shared);
  };
  add(workspace);
  {
    MutexLock lock(mutex_);
    for (const auto& [id, other] : active_) {
      const v1::TaskAssignment& assignment = other->record.assignment;
      if (assignment.task() != workspace.task()) tasks.insert(assignment.task());
      add(TaskWorkspace(parts_.config.workspace, assignment));
    }
  }
  const auto names = ListDirectory(workspace.CampaignDirectory());
  if (!names.ok()) return;
  for (const std::string& name : *names) {
    const std::string path = JoinPath(workspace.CampaignDirectory(), name);
    const std::size_t mark = name.find(kPartialMark);
    bool wanted = used.contains(path) || !name.starts_with("version-");
    if (mark != std::string::npos) {
      std::string task = name.substr(mark + kPartialMark.size());
      if (task.ends_with(kPartialSuffix)) task.resize(task.size() - kPartialSuffix.size());
      wanted = tasks.contains(task);
    }
    if (!wanted) (void)RemoveFile(path);  // tried again after the next task
  }
}

}  // namespace tributary::client

#include "client/task_job.h"

#include <algorithm>

#include "client/allocation.h"
#include "client/backoff.h"
#include "client/job_rendering.h"
#include "client/seconds.h"
#include "core/campaign_file.h"
#include "core/files.h"
#include "core/log.h"
#include "core/progress_file.h"

namespace tributary::client {
namespace {

using scheduler_adapters::JobSpec;
using scheduler_adapters::JobState;
using scheduler_adapters::JobStatus;

constexpr std::chrono::milliseconds kAskAgain{2000}, kLongestWait{60'000};
constexpr std::chrono::milliseconds kProgressInterval{200};
constexpr std::chrono::seconds kForecastInterval{60};
constexpr double kWorthSaying = 10;  // seconds of waiting
// Polls of a cancelled job before it is cancelled again, and of one that nothing is known about
// before it is looked for by its name: the first time, and at most.
constexpr int kFirstPatience = 3, kMostPatience = 64;
// How long a name must be unknown to a scheduler that answers: it may have restarted, and read its
// jobs later than it answers.
constexpr std::chrono::seconds kLostAfter{120};

// Lost through no fault of its own: worth another job, which goes on from the trainer's checkpoint.
bool LostItsNode(const JobStatus& status) {
  return status.state == JobState::kPreempted || status.state == JobState::kNodeFailed;
}

JobRequest RequestFor(const TaskRecord& record, const TaskWorkspace& workspace,
                      const TaskFile& task) {
  JobRequest request;
  request.name = record.job_name;
  request.directory = workspace.directory();
  request.kind = task.kind;
  request.state = workspace.CampaignDirectory() + "/state";
  request.walltime = std::chrono::seconds(task.walltime_seconds);
  request.paths.push_back(task.model_path);
  for (const DataSource& data : task.data) request.paths.push_back(data.path);
  return request;
}

// Between processes a time is kept by the wall clock, within one by a clock that nobody sets.
std::chrono::microseconds ElapsedAt(const Clock& clock, Timestamp time) {
  return clock.Elapsed() - std::max(clock.Now() - time, Timestamp::duration(0));
}
Timestamp TimeAt(const Clock& clock, std::chrono::microseconds elapsed) {
  return clock.Now() - (clock.Elapsed() - elapsed);
}

// Whether a running job still does something.
class Pulse {
 public:
  // `before`: what an earlier process saw of the job.
  Pulse(std::chrono::seconds timeout, const Clock& clock, const std::optional<Quiet>& before)
      : timeout_(timeout), clock_(clock) {
    if (!before) return;
    bytes_ = before->progress_bytes;
    last_ = ElapsedAt(clock_, before->since);
  }

  // True when nothing was written for longer than the time limit, counted from the first look. What
  // an earlier process saw does not suffice: the job may have been suspended since.
  bool Stalled(std::uint64_t progress_bytes) {
    const auto now = clock_.Elapsed();
    const bool first_look = !std::exchange(looked_, true);
    if (!last_ || progress_bytes != bytes_) {
      last_ = now;
      bytes_ = progress_bytes;
    }
    return !first_look && timeout_.count() > 0 && now - *last_ > timeout_;
  }
  void Reset() { last_.reset(); }
  std::optional<Quiet> Seen() const {
    if (!last_) return std::nullopt;
    return Quiet{TimeAt(clock_, *last_), bytes_};
  }

 private:
  const std::chrono::seconds timeout_;
  const Clock& clock_;
  std::optional<std::chrono::microseconds> last_;
  std::uint64_t bytes_ = 0;
  bool looked_ = false;
};

// A full disk, or a quota.
bool HasNoRoom(const TaskWorkspace& workspace) {
  constexpr std::size_t kSome = std::size_t{256} << 10;
  const std::string probe = workspace.directory() + "/.room";
  const Status written = WriteFileAtomic(probe, std::string(kSome, ' '));
  (void)RemoveFile(probe);
  return written.code() == StatusCode::kResourceExhausted;
}

// Removes what a run left that failed, so that the next one does not take it for its own result.
// False when there is no such thing.
bool DropFailure(const TaskWorkspace& workspace) {
  const auto result = workspace.ReadResult();
  if (!result.ok() || result->completion != Completion::kFailed) return false;
  const Status removed = workspace.RemoveUpdate();
  if (!removed.ok()) {
    LogWarning("client", "a failure stays that the next run should not find",
               {{"directory", workspace.directory()}, {"reason", removed}});
  }
  return removed.ok();
}

// Any attempt's.
bool IsJobOf(std::string_view name, const std::string& prefix, const std::string& task) {
  const std::string first = JobName(prefix, task, 1);
  return name == first || name.starts_with(first + ".a");
}

JobStatus LostJob(const std::string& id) {
  JobStatus status;
  status.id = id;
  status.state = JobState::kNodeFailed;
  status.raw_state = "lost";
  status.message = "nothing is known of a job of its name any more";
  return status;
}

}  // namespace

TaskJobs::TaskJobs(const ClientConfig& config, const std::string& site, const Clock& clock,
                   JobMonitor& jobs, SiteLedger& ledger)
    : config_(config),
      prefix_(JobNamePrefix(config, site)),
      old_prefix_(OldJobNamePrefix(config, site)),
      clock_(clock),
      jobs_(jobs),
      ledger_(ledger) {}

std::string TaskJobs::FirstName(const std::string& task) const { return JobName(prefix_, task, 1); }

Result<JobStatus> TaskJobs::Run(TaskRecord& record, const TaskWorkspace& workspace,
                                const TaskFile& task, bool found, const TaskHost& host) {
  while (true) {
    if (record.phase == Phase::kSubmitting) {
      TRIBUTARY_RETURN_IF_ERROR(Submit(record, workspace, task, found, host));
    }
    TRIBUTARY_ASSIGN_OR_RETURN(const JobStatus status, Await(record, workspace, host));
    found = false;  // the next one has not been submitted yet
    NoteEnd(record, status);
    // Cancelled before this life of the task submitted it: as an orphan, when the journal was lost.
    const bool stale =
        status.state == JobState::kCancelled && status.ended && *status.ended < record.submitted_at;
    const bool more = record.attempt < config_.job.max_attempts;
    bool resume = more && (LostItsNode(status) || stale) &&
                  (DropFailure(workspace) || !workspace.ReadResult().ok());
    if (more && status.state == JobState::kFailed && HasNoRoom(workspace)) {
      TRIBUTARY_RETURN_IF_ERROR(AwaitRoom(workspace, host));
      // What it said is that it could not write.
      TRIBUTARY_RETURN_IF_ERROR(workspace.RemoveUpdate());
      resume = true;
    }
    if (!resume) return status;
    LogWarning("client", "job lost; the task goes on in another one",
               {{"job", record.job},
                {"state", scheduler_adapters::JobStateName(status.state)},
                {"reason", status.message},
                {"attempt", record.attempt + 1}});
    ++record.attempt;
    record.job_name = JobName(prefix_, record.assignment.task(), record.attempt);
    record.job.clear();
    record.phase = Phase::kSubmitting;
    TRIBUTARY_RETURN_IF_ERROR(host.save());
  }
}

Status TaskJobs::AwaitRoom(const TaskWorkspace& workspace, const TaskHost& host) {
  LogError("client", "a job failed where nothing can be written; the task waits for room",
           {{"directory", workspace.directory()}});
  Backoff backoff(kAskAgain, kLongestWait);
  while (host.keep_going()) {
    host.tell({"waiting for room", {}, {}, {}, "the site's workspace is full"});
    host.pause(backoff.Next());
    if (!HasNoRoom(workspace)) return OkStatus();
  }
  return CancelledError("given up");
}

Status TaskJobs::Submit(TaskRecord& record, const TaskWorkspace& workspace, const TaskFile& task,
                        bool found, const TaskHost& host) {
  const JobSpec spec = MakeJob(config_.job, RequestFor(record, workspace, task));
  host.tell({"submitting", {}, {}, {}, {}});
  Backoff backoff(kAskAgain, kLongestWait);
  while (host.keep_going()) {
    // After a crash between submission and its note in the journal, the job is there under its
    // name.
    auto id = Result<std::string>(std::string());
    bool full = false;
    if (found) {
      const auto there = jobs_.Find(spec.name);
      if (!there.ok()) id = there.status();
      if (there.ok() && *there) id = **there;
    }
    if (id.ok() && id->empty()) {
      const Status entered = Enter(record, spec);
      if (!entered.ok() && entered.code() != StatusCode::kUnavailable) return entered;
      id = entered.ok() ? jobs_.Submit(spec) : Result<std::string>(entered);
      full = id.status().code() == StatusCode::kResourceExhausted;
    }
    if (id.ok()) {
      record.job = *std::move(id);
      record.submitted_at = clock_.Now();
      record.phase = Phase::kSubmitted;
      LogInfo("client", "job submitted",
              {{"task", record.assignment.task()}, {"job", record.job}, {"name", spec.name}});
      return host.save();
    }
    const StatusCode code = id.status().code();
    if (code == StatusCode::kInvalidArgument) {
      NoteNoJob(spec.name);
      return id.status().Annotate("submit");
    }
    // Any other trouble (a full disk) says nothing about a job that may be there.
    if (code != StatusCode::kUnavailable && !full && !found) return id.status().Annotate("submit");
    LogWarning("client", "the job cannot be submitted now; will try again",
               {{"reason", id.status()}});
    host.tell({"submitting", {}, {}, {}, id.status().message()});
    if (!full) found = true;  // it may have taken the job nevertheless
    host.pause(backoff.Next());
  }
  return CancelledError("given up");
}

// Into the ledger before the submission, so that what is pending is never counted too low.
// Unavailable: the ledger cannot be written now.
Status TaskJobs::Enter(const TaskRecord& record, const JobSpec& spec) {
  JobEntry entry;
  entry.name = spec.name;
  entry.campaign = CampaignNameOf(record.assignment.campaign());  // one budget for all of that name
  entry.queue = spec.queue;
  entry.nodes = spec.nodes;
  entry.cpus = spec.nodes * spec.cpus;
  entry.gpus = spec.nodes * spec.gpus;
  entry.walltime = spec.walltime;
  entry.submitted = clock_.Now();
  MutexLock lock(entering_);
  const Status left = CheckAllocation(config_.allocation, ledger_, entry);
  // The same job again would be as large: refused, not failed.
  if (left.code() == StatusCode::kResourceExhausted) return PermissionDeniedError(left.message());
  TRIBUTARY_RETURN_IF_ERROR(left);
  if (const auto forecast = MakeForecast(ledger_, entry.queue, entry.nodes, {});
      forecast.ok() && *forecast) {
    entry.predicted_p50 = (*forecast)->p50;
    entry.predicted_p80 = (*forecast)->p80;
  }
  const Status put = ledger_.Put(entry);
  return put.ok() ? put : UnavailableError(put.message());
}

std::optional<Forecast> TaskJobs::ForecastFor(const JobEntry& job, const std::string& id) {
  std::optional<double> scheduler_says;
  if (const auto start = jobs_.Estimate(id); start.ok() && *start) {
    scheduler_says = Seconds(job.submitted, **start);
  }
  const auto forecast = MakeForecast(ledger_, job.queue, job.nodes, scheduler_says);
  return forecast.ok() ? *forecast : std::nullopt;
}

Result<JobStatus> TaskJobs::Await(TaskRecord& record, const TaskWorkspace& workspace,
                                  const TaskHost& host) {
  auto told = std::chrono::steady_clock::time_point();
  auto forecast_at = std::chrono::steady_clock::time_point();
  std::optional<Forecast> forecast;
  bool started = false;
  std::string enough;  // why the job is to end before its time
  int unknown = 0;     // polls since anything was known
  int patience = kFirstPatience;
  std::optional<std::chrono::microseconds> lost_since;
  if (record.lost_since) lost_since = ElapsedAt(clock_, *record.lost_since);
  Pulse pulse(config_.job.stall_timeout, clock_, record.quiet);
  const auto watch = [&](const JobStatus& status) {
    const bool running = status.state == JobState::kRunning;
    if (running && !started) {
      NoteStart(record.job_name, status);
      // Started again since it was last looked at.
      if (record.quiet && status.started && *status.started > record.quiet->since) pulse.Reset();
    }
    started = running;
    unknown = status.state == JobState::kUnknown ? unknown + 1 : 0;
    if (unknown == 0) lost_since.reset();
    if (unknown == 0) patience = kFirstPatience;
    const bool moves = running && !status.suspended;
    if (!moves) pulse.Reset();
    if (moves && pulse.Stalled(workspace.ProgressBytes())) {
      enough = "no progress for " + std::to_string(config_.job.stall_timeout.count()) + " s";
    }
    // Back in the queue after a partial result: that result is the answer. A failure is not one: it
    // was told to stop before its first step, and its next run is to begin as the first did.
    const bool waits = status.state == JobState::kQueued || status.state == JobState::kHeld;
    if (waits && status.restarts > 0 && !DropFailure(workspace) && workspace.ReadResult().ok()) {
      enough = "it left a result before it was put back into the queue";
    }
    const auto now = std::chrono::steady_clock::now();
    if (now - told < kProgressInterval) return;
    told = now;
    if (status.state == JobState::kQueued && now - forecast_at > kForecastInterval) {
      forecast_at = now;
      if (const auto entry = ledger_.Get(record.job_name); entry.ok() && *entry) {
        forecast = ForecastFor(**entry, record.job);
        if (forecast && forecast->p95 < kWorthSaying) forecast.reset();
      }
    }
    host.tell({std::string(status.suspended ? "suspended"
                                            : scheduler_adapters::JobStateName(status.state)),
               running ? LastProgress(workspace.directory()) : std::nullopt,
               status.state == JobState::kQueued ? forecast : std::nullopt, record.submitted_at,
               status.message, running || waits});
  };
  std::optional<JobStatus> ended;
  while (!ended && enough.empty() && host.keep_going()) {
    const auto go_on = [&] { return enough.empty() && unknown < patience && host.keep_going(); };
    ended = jobs_.AwaitEnd(record.job, go_on, watch);
    if (ended || unknown < patience) break;
    const std::string before = record.job;
    ended = LookAfterLost(record, &lost_since);
    if (record.job != before) TRIBUTARY_RETURN_IF_ERROR(host.save());
    unknown = 0;
    patience = std::min(2 * patience, kMostPatience);
  }
  if (!ended && !enough.empty()) {
    LogWarning("client", "job is ended by this site", {{"job", record.job}, {"reason", enough}});
    host.tell({"ending its job", {}, {}, {}, enough});
    auto cancelled = CancelUntilEnded(record, host.keep_going, host.pause);
    if (cancelled.status().code() == StatusCode::kNotFound) cancelled = LostJob(record.job);
    TRIBUTARY_RETURN_IF_ERROR(cancelled.status());
    ended = *std::move(cancelled);
    ended->message = enough + (ended->message.empty() ? "" : "; " + ended->message);
  }
  if (!ended) {
    record.quiet = pulse.Seen();
    record.lost_since.reset();
    if (lost_since) record.lost_since = TimeAt(clock_, *lost_since);
    (void)host.save();  // at worst it is waited for longer
    return CancelledError("given up");
  }
  record.quiet.reset();
  record.lost_since.reset();
  return *std::move(ended);
}

// The adapter's own notes may be lost, while the journal has the job.
std::optional<JobStatus> TaskJobs::LookAfterLost(
    TaskRecord& record, std::optional<std::chrono::microseconds>* lost_since) {
  const auto found = jobs_.Find(record.job_name);
  if (!found.ok() || *found) {
    lost_since->reset();
    if (found.ok()) record.job = **found;
    return std::nullopt;
  }
  if (!*lost_since) *lost_since = clock_.Elapsed();
  if (clock_.Elapsed() - **lost_since < kLostAfter) return std::nullopt;
  return LostJob(record.job);
}

void TaskJobs::NoteStart(const std::string& name, const JobStatus& status) {
  const auto entry = ledger_.Get(name);
  if (!entry.ok() || !*entry) return;
  if ((*entry)->started) return;  // a later incarnation: the wait was the first one's
  JobEntry started = **entry;
  started.started = status.started.value_or(clock_.Now());
  if (const Status put = ledger_.Put(started); !put.ok()) {
    LogWarning("client", "a start is missing in the ledger", {{"job", name}, {"reason", put}});
  }
}

// A ledger that cannot be written says nothing about the task's result.
void TaskJobs::NoteEnd(TaskRecord& record, const JobStatus& status) {
  JobEntry entry;
  entry.name = record.job_name;
  entry.campaign = CampaignNameOf(record.assignment.campaign());  // one budget for all of that name
  entry.submitted = record.submitted_at;
  if (const auto entered = ledger_.Get(record.job_name); entered.ok() && *entered) {
    entry = **entered;
  }
  if (!entry.started) entry.started = status.started;
  entry.ended = status.ended.value_or(clock_.Now());
  entry.charged = status.usage.elapsed;
  if (entry.charged.count() == 0 && entry.started) {
    entry.charged = std::chrono::duration_cast<std::chrono::seconds>(
        std::max(*entry.ended - *entry.started, Timestamp::duration(0)));
    // Where its end was not seen, it ran no longer than it was allowed to.
    if (!status.ended && entry.walltime.count() > 0) {
      entry.charged = std::min(entry.charged, entry.walltime);
    }
  }
  if (status.usage.nodes > 0) entry.nodes = status.usage.nodes;
  if (status.usage.cpus > 0) entry.cpus = status.usage.cpus;
  if (status.usage.gpus > 0) entry.gpus = status.usage.gpus;
  record.queue_seconds += Seconds(entry.submitted, entry.started.value_or(*entry.ended));
  record.node_seconds += static_cast<double>(entry.nodes * entry.charged.count());
  if (const Status put = ledger_.Put(entry); !put.ok()) {
    LogError("client", "a job's end is missing in the ledger",
             {{"job", record.job}, {"reason", put}});
  }
}

// What was entered for a job that never came to be costs nothing.
void TaskJobs::NoteNoJob(const std::string& name) {
  const auto entry = ledger_.Get(name);
  if (!entry.ok() || !*entry || (*entry)->ended) return;
  JobEntry closed = **entry;
  closed.ended = clock_.Now();
  if (const Status put = ledger_.Put(closed); !put.ok()) {
    LogError("client", "a job that never was stays pending in the ledger",
             {{"job", name}, {"reason", put}});
  }
}

Result<JobStatus> TaskJobs::CancelUntilEnded(
    TaskRecord& record, const std::function<bool()>& go_on,
    const std::function<void(std::chrono::milliseconds)>& pause) {
  int patience = kFirstPatience;
  while (true) {
    Status status = jobs_.Cancel(record.job);
    if (status.code() == StatusCode::kNotFound) {  // by the adapter's notes, which may be lost
      const auto found = jobs_.Find(record.job_name);
      if (found.ok() && !*found) return status;
      if (found.ok()) record.job = **found;
      status = found.ok() ? jobs_.Cancel(record.job) : found.status();
    }
    if (status.ok()) {
      int polls = 0;
      auto ended = jobs_.AwaitEnd(
          record.job, [&] { return ++polls < patience && go_on(); }, [](const JobStatus&) {});
      if (ended) return *std::move(ended);
      patience = std::min(2 * patience, kMostPatience);
    } else {
      pause(kAskAgain);
    }
    if (!go_on()) return CancelledError("given up");
  }
}

bool TaskJobs::CancelOrphan(const std::string& name, const std::function<bool()>& go_on,
                            const std::function<void(std::chrono::milliseconds)>& pause) {
  while (true) {
    const auto found = jobs_.Find(name);
    Status status = found.status();
    if (found.ok()) status = *found ? jobs_.Cancel(**found) : OkStatus();
    if (status.ok() || status.code() == StatusCode::kNotFound) return true;
    if (!go_on()) return false;
    pause(kAskAgain);
  }
}

bool TaskJobs::End(TaskRecord& record, const std::function<bool()>& go_on,
                   const std::function<void(std::chrono::milliseconds)>& pause) {
  if (record.job.empty() && !record.job_name.empty()) {  // the scheduler may have it
    auto found = jobs_.Find(record.job_name);
    while (!found.ok() && go_on()) {
      pause(kAskAgain);
      found = jobs_.Find(record.job_name);
    }
    if (!found.ok()) return false;
    if (*found) record.job = **found;
    if (!*found) NoteNoJob(record.job_name);
  }
  if (record.job.empty()) return true;
  const auto ended = CancelUntilEnded(record, go_on, pause);
  const bool unknown = ended.status().code() == StatusCode::kNotFound;
  if (!ended.ok() && !unknown) return false;
  LogInfo("client", unknown ? "nothing is known of the job any more" : "job cancelled",
          {{"job", record.job}});
  NoteEnd(record, unknown ? LostJob(record.job) : *ended);
  return true;
}

void TaskJobs::ForgetEnded(const std::function<std::vector<std::string>()>& known_tasks) {
  const Status status = jobs_.ForgetEnded([&](std::string_view name) {
    for (const std::string& prefix : {prefix_, old_prefix_}) {
      if (!name.starts_with(prefix)) continue;
      const std::vector<std::string> known = known_tasks();
      return std::none_of(known.begin(), known.end(),
                          [&](const std::string& task) { return IsJobOf(name, prefix, task); });
    }
    return false;  // another daemon's
  });
  if (!status.ok()) {
    LogWarning("client", "records of ended jobs stay", {{"reason", status}});
  }
}

void TaskJobs::SweepOrphans(const std::function<std::vector<std::string>()>& known_tasks,
                            const std::function<bool()>& go_on,
                            const std::function<void(std::chrono::milliseconds)>& pause) {
  for (const std::string& prefix : {prefix_, old_prefix_}) {
    auto live = jobs_.ListLive(prefix);
    while (!live.ok() && go_on()) {
      pause(kAskAgain);
      live = jobs_.ListLive(prefix);
    }
    if (!live.ok()) return;
    const std::vector<std::string> known = known_tasks();  // after the listing: none is missed
    for (const scheduler_adapters::NamedJob& job : *live) {
      const bool owned = std::any_of(known.begin(), known.end(), [&](const std::string& task) {
        return IsJobOf(job.name, prefix, task);
      });
      if (owned) continue;
      LogWarning("client", "a job of no task that is known here is cancelled",
                 {{"job", job.id}, {"name", job.name}});
      if (!CancelOrphan(job.name, go_on, pause)) return;
    }
  }
}

}  // namespace tributary::client

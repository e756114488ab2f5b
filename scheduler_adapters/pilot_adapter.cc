#include "scheduler_adapters/pilot_adapter.h"

#include <algorithm>
#include <set>
#include <utility>

#include "core/files.h"
#include "core/log.h"
#include "core/text.h"
#include "scheduler_adapters/job_script.h"

namespace tributary::scheduler_adapters {
namespace {

using std::chrono::seconds;

constexpr char kWriter[] = "daemon";  // no pilot has this name
constexpr int kMostFailedStarts = 3;
// A running pilot beats every few seconds; parallel file systems have been seen to hang for
// minutes.
constexpr std::chrono::minutes kHungAfter{15};
// For people, and for the pause after those that failed.
constexpr std::chrono::hours kKeepEnded{1};

bool IsJobName(std::string_view name) {
  JobSpec spec;
  spec.name = name;
  spec.working_directory = spec.stdout_path = spec.stderr_path = "/";
  spec.command = {"/"};
  return CheckJobSpec(spec).ok();
}

// "trib-12ab34cd.pilot.<n>" for the tasks of "trib-12ab34cd.": what begins as a daemon's tasks do
// is taken for that daemon's.
std::string PilotPrefix(const std::string& task) {
  constexpr std::size_t kLongest = 24;
  const std::size_t dot = task.find('.');
  return dot == std::string::npos || dot > kLongest ? "pilot." : task.substr(0, dot) + ".pilot.";
}

JobStatus Simple(JobState state, std::string_view message) {
  JobStatus status;
  status.state = state;
  status.raw_state = JobStateName(state);
  status.message = Excerpt(message, kMaxJobMessageBytes);
  return status;
}

std::vector<seconds> Walltimes(const std::vector<PilotRequest>& requests) {
  std::vector<seconds> walltimes;
  walltimes.reserve(requests.size());
  for (const PilotRequest& request : requests) walltimes.push_back(request.spec.walltime);
  return walltimes;
}

JobUsage UsageOf(const PilotRequest& request, Timestamp started, Timestamp ended) {
  const JobSpec& spec = request.spec;
  return {spec.nodes, spec.nodes * spec.cpus, spec.nodes * spec.gpus,
          std::chrono::round<seconds>(ended - started)};
}

JobStatus FromEnd(const PilotRequest& request, const PilotTaskEnd& end) {
  JobStatus status = Simple(end.state, end.message);
  status.exit_code = end.exit_code;
  status.submitted = request.submitted;
  // Of two machines: their clocks may differ by more than the times do.
  if (end.started) status.started = std::max(*end.started, request.submitted);
  status.ended = std::max(end.ended, status.started.value_or(request.submitted));
  if (end.started) status.usage = UsageOf(request, *end.started, std::max(end.ended, *end.started));
  return status;
}

// Ended by itself without having been of use: not for want of work, and not at somebody's word.
bool FailedToStart(const PilotRecord& record, const std::optional<PilotState>& state) {
  if (!record.end || (state && state->tasks > 0)) return false;
  switch (record.end->state) {
    case JobState::kCompleted:
      return !state;
    case JobState::kFailed:
    case JobState::kTimedOut:
    case JobState::kOutOfMemory:
      return true;
    default:
      return false;
  }
}

}  // namespace

Result<std::unique_ptr<SchedulerAdapter>> PilotAdapter::Make(
    const PilotOptions& options, std::unique_ptr<SchedulerAdapter> inner, const Clock& clock) {
  if (!options.directory.starts_with('/')) {
    return InvalidArgumentError("job.pilot.directory: \"" + Excerpt(options.directory) +
                                "\" must be an absolute path");
  }
  if (options.command.empty() || !options.command[0].starts_with('/')) {
    return InvalidArgumentError("pilots need the absolute path of their program");
  }
  TRIBUTARY_RETURN_IF_ERROR(PilotDirectory(options.directory).Make());
  return std::unique_ptr<SchedulerAdapter>(new PilotAdapter(options, std::move(inner), clock));
}

Result<bool> PilotAdapter::IsTask(std::string_view name) const {
  if (!IsJobName(name)) return false;
  return directory_.HasTask(std::string(name));
}

Result<std::string> PilotAdapter::Submit(const JobSpec& spec) {
  TRIBUTARY_RETURN_IF_ERROR(CheckJobSpec(spec));
  TRIBUTARY_ASSIGN_OR_RETURN(const bool known, IsTask(spec.name));
  if (known) return spec.name;
  if (options_.drain) return inner_->Submit(spec);
  TRIBUTARY_RETURN_IF_ERROR(directory_.Make());
  TRIBUTARY_RETURN_IF_ERROR(directory_.PutRequest({spec, clock_.Now()}));
  TRIBUTARY_RETURN_IF_ERROR(directory_.Queue(spec.name));
  const Status tended = Tend();
  if (tended.code() != StatusCode::kInvalidArgument) return spec.name;
  // No pilot may be submitted for it: refused, unless one of an earlier day has taken it.
  TRIBUTARY_ASSIGN_OR_RETURN(const PilotTask task, directory_.ReadTask(spec.name));
  if (!task.end || task.end->started) return spec.name;
  TRIBUTARY_RETURN_IF_ERROR(directory_.RemoveTask(spec.name));
  return tended.Annotate("submit job " + spec.name);
}

// The pilots as the scheduler and they themselves say. The scheduler first: what a pilot that it
// calls ended has written is then all there.
Status PilotAdapter::Refresh() {
  TRIBUTARY_ASSIGN_OR_RETURN(const auto names, directory_.Pilots());
  std::vector<std::string> ids;
  std::vector<Known*> asked;
  for (const std::string& name : names) {
    Known& known = pilots_[name];
    if (known.record.end) continue;
    auto record = directory_.ReadPilot(name);
    if (record.status().code() == StatusCode::kNotFound) {
      pilots_.erase(name);  // not written yet when the daemon was killed
      continue;
    }
    TRIBUTARY_RETURN_IF_ERROR(record.status());  // the file system says nothing about the pilot
    known.record = *std::move(record);
    if (known.record.end) {
      known.said = *known.record.end;
      known.ended_at = clock_.Elapsed();
      if (auto state = directory_.ReadState(name); state.ok()) known.state = *std::move(state);
      continue;
    }
    if (known.record.id.empty()) {
      if (const Status status = ResumeSubmission(&known.record); !status.ok()) {
        known.said = Simple(JobState::kUnknown, status.message());
        if (status.code() == StatusCode::kInvalidArgument) {
          pilots_.erase(name);
          TRIBUTARY_RETURN_IF_ERROR(directory_.RemovePilot(name));
        }
        continue;
      }
    }
    ids.push_back(known.record.id);
    asked.push_back(&known);
  }
  std::vector<JobStatus> said = ids.empty() ? std::vector<JobStatus>() : inner_->Query(ids);
  for (std::size_t i = 0; i < said.size(); ++i) {
    Known& known = *asked[i];
    known.said = std::move(said[i]);
    if (auto state = directory_.ReadState(known.record.spec.name); state.ok()) {
      known.state = *std::move(state);
    }
    if (!IsTerminal(known.said.state)) {
      EndHung(known);
      continue;
    }
    if (!known.said.ended) known.said.ended = clock_.Now();
    known.record.end = known.said;
    known.ended_at = clock_.Elapsed();
    LogInfo("scheduler", "pilot ended",
            {{"pilot", known.record.spec.name},
             {"state", JobStateName(known.said.state)},
             {"tasks", known.state ? known.state->tasks : 0},
             {"left", known.state ? known.state->left : ""}});
    TRIBUTARY_RETURN_IF_ERROR(directory_.PutPilot(known.record));
  }
  return OkStatus();
}

// After a crash between the record and the answer; submitting a name again is safe.
Status PilotAdapter::ResumeSubmission(PilotRecord* record) {
  TRIBUTARY_ASSIGN_OR_RETURN(record->id, inner_->Submit(record->spec));
  return directory_.PutPilot(*record);
}

void PilotAdapter::EndHung(const Known& pilot) {
  const std::string& name = pilot.record.spec.name;
  if (pilot.said.state != JobState::kRunning) {
    still_.erase(name);
    return;
  }
  const auto now = clock_.Elapsed();
  const Timestamp beat = pilot.state ? pilot.state->beat : Timestamp();
  Stillness& stillness = still_.try_emplace(name, Stillness{beat, now}).first->second;
  if (stillness.beat != beat) stillness = {beat, now};
  if (now - stillness.since < kHungAfter) return;
  LogWarning("scheduler", "a pilot stands still and is cancelled", {{"pilot", name}});
  (void)inner_->Cancel(pilot.record.id);  // again at the next look
}

// Nothing for one that ended or is on its way out.
std::optional<LivePilot> PilotAdapter::View(const Known& pilot) const {
  if (pilot.record.end || IsTerminal(pilot.said.state)) return std::nullopt;
  const bool serve_limited = pilot.record.serve.count() > 0;
  LivePilot view;
  if (serve_limited) view.left = pilot.record.serve;
  const bool in_queue =
      pilot.said.state == JobState::kQueued || pilot.said.state == JobState::kHeld;
  if (in_queue || !pilot.state) return view;
  if (!pilot.state->left.empty()) return std::nullopt;
  view.running = true;
  view.busy = !pilot.state->current.empty();
  const Timestamp now = clock_.Now();
  if (serve_limited) {
    *view.left -= std::chrono::ceil<seconds>(now - pilot.state->started);
  }
  if (!view.busy) view.idle = std::chrono::floor<seconds>(now - pilot.state->idle_since);
  return view;
}

// Those that no pilot took yet, the oldest first. Ends what was cancelled, and tidies the queue.
Result<std::vector<PilotRequest>> PilotAdapter::Waiting() {
  TRIBUTARY_ASSIGN_OR_RETURN(const auto names, directory_.Queued());
  std::vector<PilotRequest> waiting;
  for (const std::string& name : names) {
    auto task = IsJobName(name) ? directory_.ReadTask(name)
                                : Result<PilotTask>(NotFoundError(name + " is no task"));
    if (task.status().code() == StatusCode::kNotFound ||
        (task.ok() && (task->claim || task->end))) {
      TRIBUTARY_RETURN_IF_ERROR(directory_.Unqueue(name));
    } else if (task.ok() && task->cancel) {
      TRIBUTARY_RETURN_IF_ERROR(
          EndUnstarted(name, JobState::kCancelled, "cancelled before it started"));
    } else if (task.ok()) {
      waiting.push_back(std::move(task->request));
    }
  }
  std::stable_sort(waiting.begin(), waiting.end(),
                   [](const auto& a, const auto& b) { return a.submitted < b.submitted; });
  return waiting;
}

Status PilotAdapter::Tend() {
  TRIBUTARY_RETURN_IF_ERROR(Refresh());
  TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<PilotRequest> waiting, Waiting());
  if (options_.drain) {
    EndAllWaiting(waiting, JobState::kNodeFailed, "pilots are switched off here");
    for (const auto& [name, pilot] : pilots_) {
      if (View(pilot) && !directory_.IsStopRequested(name)) {
        TRIBUTARY_RETURN_IF_ERROR(directory_.RequestStop(name));
      }
    }
    return OkStatus();
  }
  trouble_ = directory_.AreAllStopped() ? "pilots are stopped: " + directory_.path() + "/stop" : "";
  if (!trouble_.empty()) return OkStatus();
  std::map<std::string, std::vector<PilotRequest>> profiles;
  for (const PilotRequest& request : waiting) {
    if (const std::string why = WhyNoPilotStarts(request); !why.empty()) {
      EndAllWaiting({request}, JobState::kFailed, why);
    } else {
      profiles[PilotProfile(request.spec)].push_back(request);
    }
  }
  for (const auto& [name, pilot] : pilots_) {
    if (View(pilot)) profiles[pilot.record.profile];
  }
  Status result;
  for (const auto& [profile, requests] : profiles) {
    const Status status = TendProfile(profile, requests);
    if (status.ok()) continue;
    trouble_ = status.message();
    if (status.code() == StatusCode::kInvalidArgument) {
      EndAllWaiting(requests, JobState::kFailed, "no pilot is accepted: " + status.message());
    }
    if (result.ok() || status.code() == StatusCode::kInvalidArgument) result = status;
  }
  return result;
}

Status PilotAdapter::MaySubmit(const JobSpec& like) const {
  return options_.may_submit ? options_.may_submit(like) : OkStatus();
}

Status PilotAdapter::TendProfile(const std::string& profile,
                                 const std::vector<PilotRequest>& waiting) {
  const std::vector<seconds> walltimes = Walltimes(waiting);
  std::vector<LivePilot> live;
  const JobSpec* like = waiting.empty() ? nullptr : &waiting.front().spec;
  for (const auto& [name, pilot] : pilots_) {
    const auto view = View(pilot);
    if (pilot.record.profile != profile || !view) continue;
    live.push_back(*view);
    if (waiting.empty()) like = &pilot.record.spec;
  }
  const PilotLimits limits{options_.max_pilots, options_.successor_before, options_.idle_timeout};
  while (like != nullptr && WantsPilot(walltimes, live, limits) && !IsBackedOff(profile)) {
    const JobSpec spec = *like;  // of a pilot that the next line may move
    if (const Status may = MaySubmit(spec); may.code() == StatusCode::kResourceExhausted) {
      trouble_ = "no further pilot: " + may.message();
      return live.empty() && !waiting.empty() ? InvalidArgumentError(may.message()) : OkStatus();
    } else if (!may.ok()) {
      return may;
    }
    TRIBUTARY_ASSIGN_OR_RETURN(const std::string name, SubmitPilot(spec, walltimes));
    const auto view = View(pilots_.at(name));
    if (!view) break;  // it has ended already
    live.push_back(*view);
  }
  return OkStatus();
}

PilotRecord PilotAdapter::NewPilot(const JobSpec& like, std::span<const seconds> waiting) const {
  const Timestamp now = clock_.Now();
  const PilotWalltime walltime = WalltimeFor(options_.walltime, waiting);
  PilotRecord record;
  record.profile = PilotProfile(like);
  record.serve = walltime.serve;
  record.idle_timeout = options_.idle_timeout;
  record.poll_interval = std::max(options_.poll_interval, std::chrono::milliseconds(1));
  record.grace = options_.cancel_grace;
  record.submitted = now;
  record.spec = like;
  // Unique also where the directory was lost and the scheduler remembers.
  const std::string prefix = PilotPrefix(like.name);
  std::int64_t number = ToMicros(now);
  while (pilots_.contains(prefix + std::to_string(number))) ++number;
  record.spec.name = prefix + std::to_string(number);
  record.spec.working_directory = directory_.PilotPath(record.spec.name);
  record.spec.stdout_path = record.spec.working_directory + "/job.out";
  record.spec.stderr_path = record.spec.working_directory + "/job.err";
  record.spec.command = options_.command;
  for (const std::string& word :
       {std::string("--dir"), directory_.path(), std::string("--name"), record.spec.name}) {
    record.spec.command.push_back(word);
  }
  record.spec.walltime = walltime.job;
  // Its tasks are warned before their own walltimes, which end before the pilot's.
  record.spec.warning_before = seconds(0);
  return record;
}

Result<std::string> PilotAdapter::SubmitPilot(const JobSpec& like,
                                              std::span<const seconds> waiting) {
  Known known;
  known.record = NewPilot(like, waiting);
  known.said = Simple(JobState::kQueued, "");
  known.order = ++submissions_;
  const std::string name = known.record.spec.name;
  TRIBUTARY_RETURN_IF_ERROR(directory_.PutPilot(known.record));
  const Status submitted = ResumeSubmission(&known.record);
  if (submitted.code() == StatusCode::kInvalidArgument) {
    TRIBUTARY_RETURN_IF_ERROR(directory_.RemovePilot(name));
    return submitted;
  }
  if (submitted.ok()) {
    LogInfo("scheduler", "pilot submitted", {{"pilot", name}, {"job", known.record.id}});
  }
  pilots_[name] = std::move(known);  // the scheduler may have it whatever it answered
  TRIBUTARY_RETURN_IF_ERROR(submitted);
  return name;
}

// Names are no order: the machine's clock, which they are made of, may have been set back, and what
// they begin with may have changed. Of earlier lives of the daemon only times are known.
std::vector<const PilotAdapter::Known*> PilotAdapter::InOrder(const std::string& profile) const {
  std::vector<const Known*> pilots;
  for (const auto& [name, pilot] : pilots_) {
    if (pilot.record.profile == profile) pilots.push_back(&pilot);
  }
  std::stable_sort(pilots.begin(), pilots.end(), [](const Known* a, const Known* b) {
    return std::pair(a->order, a->record.submitted) < std::pair(b->order, b->record.submitted);
  });
  return pilots;
}

// After pilots that ended badly without having served anybody.
bool PilotAdapter::IsBackedOff(const std::string& profile) const {
  int failures = 0;
  std::chrono::microseconds last{0};
  for (const Known* pilot : InOrder(profile)) {
    if (!pilot->record.end) continue;
    const bool useless = pilot->record.end->state != JobState::kCompleted &&
                         (!pilot->state || pilot->state->tasks == 0);
    failures = useless ? failures + 1 : 0;
    last = pilot->ended_at.value_or(clock_.Elapsed());
  }
  return failures > 0 && clock_.Elapsed() - last < PilotBackoff(failures);
}

// Empty, unless several pilots that were submitted while it waited failed by themselves before they
// took a task.
std::string PilotAdapter::WhyNoPilotStarts(const PilotRequest& request) const {
  constexpr std::size_t kTail = 300;
  const std::string profile = PilotProfile(request.spec);
  int failures = 0;
  const Known* last = nullptr;
  for (const Known* pilot : InOrder(profile)) {
    if (pilot->record.submitted < request.submitted) continue;
    if (!FailedToStart(pilot->record, pilot->state)) continue;
    ++failures;
    last = pilot;
  }
  if (failures < kMostFailedStarts) return "";
  const auto tail = ReadFileTail(last->record.spec.stderr_path, kTail);
  return "pilots do not start: " + last->record.end->message +
         (tail.ok() && !tail->empty() ? "; " + *tail : "");
}

Status PilotAdapter::EndUnstarted(const std::string& id, JobState state,
                                  const std::string& message) {
  TRIBUTARY_ASSIGN_OR_RETURN(const bool ours,
                             directory_.Claim(id, {"", {}, clock_.Now()}, kWriter));
  if (!ours) return OkStatus();
  PilotTaskEnd end;
  end.state = state;
  end.ended = clock_.Now();
  end.message = message;
  TRIBUTARY_RETURN_IF_ERROR(directory_.End(id, end, kWriter).status());
  return directory_.Unqueue(id);
}

void PilotAdapter::EndAllWaiting(const std::vector<PilotRequest>& waiting, JobState state,
                                 const std::string& message) {
  for (const PilotRequest& request : waiting) {
    if (const Status status = EndUnstarted(request.spec.name, state, message); !status.ok()) {
      LogWarning("scheduler", "a task that waits for a pilot cannot be ended",
                 {{"task", request.spec.name}, {"reason", status}});
    }
  }
}

std::vector<JobStatus> PilotAdapter::Query(std::span<const std::string> ids) {
  if (const Status tended = Tend(); !tended.ok() && trouble_.empty()) trouble_ = tended.message();
  std::vector<std::string> others;
  for (const std::string& id : ids) {
    const auto is_task = IsTask(id);
    if (is_task.ok() && !*is_task) others.push_back(id);
  }
  std::vector<JobStatus> theirs = others.empty() ? std::vector<JobStatus>() : inner_->Query(others);
  std::vector<JobStatus> statuses;
  std::size_t next = 0;
  for (const std::string& id : ids) {
    if (next < others.size() && others[next] == id) {
      statuses.push_back(std::move(theirs[next++]));
      continue;
    }
    auto status = StatusOf(id);
    if (!status.ok()) status = Simple(JobState::kUnknown, status.status().message());
    status->id = id;
    statuses.push_back(*std::move(status));
  }
  return statuses;
}

Result<JobStatus> PilotAdapter::StatusOf(const std::string& id) {
  TRIBUTARY_ASSIGN_OR_RETURN(const PilotTask task, directory_.ReadTask(id));
  if (task.end || task.claim) return JudgeClaimed(id, task);
  TRIBUTARY_RETURN_IF_ERROR(directory_.Queue(id));  // it may have been lost with the daemon
  JobStatus status = Simple(JobState::kQueued, trouble_);
  status.submitted = task.request.submitted;
  if (!trouble_.empty()) return status;
  for (const auto& [name, pilot] : pilots_) {
    if (!View(pilot)) continue;
    status.message =
        Excerpt("waits for pilot " + name + ": " + std::string(JobStateName(pilot.said.state)) +
                    " " + pilot.said.message,
                kMaxJobMessageBytes);
  }
  return status;
}

Result<JobStatus> PilotAdapter::JudgeClaimed(const std::string& id, const PilotTask& task) {
  if (task.end) {
    lost_since_.erase(id);
    return FromEnd(task.request, *task.end);
  }
  if (task.claim->pilot.empty()) {  // this daemon's predecessor was about to end it
    const JobState state = task.cancel ? JobState::kCancelled : JobState::kNodeFailed;
    PilotTaskEnd end{state, {}, {}, clock_.Now(), "it ended before a pilot took it"};
    TRIBUTARY_RETURN_IF_ERROR(directory_.End(id, end, kWriter).status());
    return StatusOf(id);
  }
  JobStatus status = Simple(JobState::kRunning, "in pilot " + task.claim->pilot);
  status.submitted = task.request.submitted;
  status.started = std::max(task.claim->at, task.request.submitted);
  const auto pilot = pilots_.find(task.claim->pilot);
  if (pilot != pilots_.end() && pilot->second.said.state == JobState::kUnknown) {
    status.state = JobState::kUnknown;
    status.raw_state = JobStateName(status.state);
    status.message = pilot->second.said.message;
    return status;
  }
  const std::string why = WhyLost(id, *task.claim);
  if (why.empty()) {
    lost_since_.erase(id);
    return status;
  }
  // Twice: the second look at the pilot comes after this look at the task, so that a pilot which
  // took or ended the task just now is not called lost.
  const auto [since, first] = lost_since_.try_emplace(id, clock_.Elapsed());
  if (first || clock_.Elapsed() - since->second < options_.lost_after) return status;
  TRIBUTARY_RETURN_IF_ERROR(EndLost(id, task, why));
  return StatusOf(id);
}

// Empty while its pilot may be running it.
std::string PilotAdapter::WhyLost(const std::string& id, const PilotClaim& claim) const {
  const auto at = pilots_.find(claim.pilot);
  if (at == pilots_.end()) return "its pilot " + claim.pilot + " is not on record";
  const Known& pilot = at->second;
  const std::string name = "its pilot " + claim.pilot;
  if (IsTerminal(pilot.said.state)) {
    return name + " ended (" + std::string(JobStateName(pilot.said.state)) +
           (pilot.said.message.empty() ? "" : ": " + pilot.said.message) +
           ") without a record of the task's end";
  }
  if (pilot.said.state != JobState::kRunning) return name + " is back in the scheduler's queue";
  if (pilot.state && pilot.state->started != claim.incarnation) return name + " was started again";
  if (pilot.state && pilot.state->current != id) return name + " has no record of the task's end";
  return "";
}

Status PilotAdapter::EndLost(const std::string& id, const PilotTask& task, const std::string& why) {
  const auto pilot = pilots_.find(task.claim->pilot);
  PilotTaskEnd end;
  end.state = task.cancel ? JobState::kCancelled : JobState::kNodeFailed;
  end.started = task.claim->at;
  end.ended = clock_.Now();
  if (pilot != pilots_.end() && pilot->second.record.end && pilot->second.record.end->ended) {
    end.ended = std::max(*pilot->second.record.end->ended, task.claim->at);
  }
  end.message = why;
  return directory_.End(id, end, kWriter).status();
}

Status PilotAdapter::Cancel(const std::string& id) {
  TRIBUTARY_ASSIGN_OR_RETURN(const bool is_task, IsTask(id));
  if (!is_task) return inner_->Cancel(id);
  TRIBUTARY_ASSIGN_OR_RETURN(const PilotTask task, directory_.ReadTask(id));
  if (task.end) return OkStatus();
  if (!task.cancel) TRIBUTARY_RETURN_IF_ERROR(directory_.RequestCancel(id));
  return EndUnstarted(id, JobState::kCancelled, "cancelled before it started");
}

Result<std::optional<Timestamp>> PilotAdapter::Estimate(const EstimateTarget& target) {
  const auto* id = std::get_if<std::string>(&target);
  if (id != nullptr) {
    TRIBUTARY_ASSIGN_OR_RETURN(const bool is_task, IsTask(*id));
    if (!is_task) return inner_->Estimate(target);
  }
  JobSpec spec;
  if (id != nullptr) {
    TRIBUTARY_ASSIGN_OR_RETURN(PilotTask task, directory_.ReadTask(*id));
    if (task.claim || task.end) return std::optional<Timestamp>();
    spec = std::move(task.request.spec);
  } else {
    spec = std::get<JobSpec>(target);
    TRIBUTARY_RETURN_IF_ERROR(CheckJobSpec(spec));
    if (options_.drain) return inner_->Estimate(target);
  }
  const std::string profile = PilotProfile(spec);
  std::optional<std::string> queued;
  for (const auto& [name, pilot] : pilots_) {
    const auto view = View(pilot);
    if (!view || pilot.record.profile != profile || !FitsPilot(spec.walltime, view->left)) continue;
    if (view->running && !view->busy) return std::optional(clock_.Now());
    if (!view->running && !queued && !pilot.record.id.empty()) queued = pilot.record.id;
  }
  if (queued) return inner_->Estimate(*queued);
  const std::vector<seconds> walltimes = {spec.walltime};
  return inner_->Estimate(NewPilot(spec, walltimes).spec);
}

Result<std::optional<std::string>> PilotAdapter::Find(std::string_view name) {
  TRIBUTARY_ASSIGN_OR_RETURN(const bool is_task, IsTask(name));
  if (is_task) return std::optional(std::string(name));
  return inner_->Find(name);
}

Result<std::vector<NamedJob>> PilotAdapter::ListLive(std::string_view name_prefix) {
  if (const Status tended = Tend(); !tended.ok()) trouble_ = tended.message();
  TRIBUTARY_ASSIGN_OR_RETURN(std::vector<NamedJob> live, inner_->ListLive(name_prefix));
  // Pilots on record are nobody's task; others are left to whoever looks for orphans.
  std::erase_if(live, [&](const NamedJob& job) { return pilots_.contains(job.name); });
  TRIBUTARY_ASSIGN_OR_RETURN(const auto tasks, directory_.Tasks());
  for (const std::string& name : tasks) {
    if (!name.starts_with(name_prefix) || !IsJobName(name)) continue;
    const auto task = directory_.ReadTask(name);
    if (task.ok() && !task->end) live.push_back({name, name});
  }
  return live;
}

// One that ended a while ago, that no task here names as its own, and whose cost is on record
// elsewhere.
Status PilotAdapter::ForgetPilots() {
  if (!options_.is_settled) return OkStatus();
  std::set<std::string> named;
  TRIBUTARY_ASSIGN_OR_RETURN(const auto tasks, directory_.Tasks());
  for (const std::string& name : tasks) {
    const auto task = directory_.ReadTask(name);
    if (!task.ok()) return OkStatus();  // nothing is known: another time
    if (task->claim) named.insert(task->claim->pilot);
  }
  for (auto it = pilots_.begin(); it != pilots_.end();) {
    const auto& [name, known] = *it;
    const bool over =
        known.record.end && known.ended_at && clock_.Elapsed() - *known.ended_at >= kKeepEnded;
    if (!over || named.contains(name) || !options_.is_settled(name)) {
      ++it;
      continue;
    }
    TRIBUTARY_RETURN_IF_ERROR(directory_.RemovePilot(name));
    it = pilots_.erase(it);
  }
  return OkStatus();
}

// What a pilot cost is still asked for.
Status PilotAdapter::ForgetEnded(const std::function<bool(std::string_view name)>& unwanted) {
  TRIBUTARY_RETURN_IF_ERROR(ForgetPilots());
  TRIBUTARY_ASSIGN_OR_RETURN(const auto pilots, directory_.Pilots());
  const std::set<std::string, std::less<>> kept(pilots.begin(), pilots.end());
  TRIBUTARY_RETURN_IF_ERROR(inner_->ForgetEnded(
      [&](std::string_view name) { return !kept.contains(name) && unwanted(name); }));
  TRIBUTARY_ASSIGN_OR_RETURN(const auto tasks, directory_.Tasks());
  for (const std::string& name : tasks) {
    if (!IsJobName(name)) continue;
    const auto task = directory_.ReadTask(name);
    if (!task.ok() || !task->end || !unwanted(name)) continue;
    TRIBUTARY_RETURN_IF_ERROR(directory_.RemoveTask(name));
  }
  return OkStatus();
}

Status PilotAdapter::CheckAccepted(const JobSpec& spec) {
  TRIBUTARY_RETURN_IF_ERROR(CheckJobSpec(spec));
  if (options_.drain) return inner_->CheckAccepted(spec);
  const std::vector<seconds> walltimes = {spec.walltime};
  const PilotRecord pilot = NewPilot(spec, walltimes);
  return inner_->CheckAccepted(pilot.spec);
}

std::string PilotAdapter::Render(const JobSpec& spec) const {
  if (options_.drain) return inner_->Render(spec);
  const std::vector<seconds> walltimes = {spec.walltime};
  std::string text = inner_->Render(NewPilot(spec, walltimes).spec);
  text += "# That is the pilot; in it, for the task, without a shell, in " +
          spec.working_directory + ":\n#";
  for (const std::string& argument : spec.command)
    text += " " + EscapeControl(ShellQuote(argument));
  return text + "\n";
}

Result<std::vector<PilotUsage>> ReadPilotUsage(
    const std::string& path, const std::function<bool(const std::string& name)>& skip) {
  const PilotDirectory directory(path);
  TRIBUTARY_ASSIGN_OR_RETURN(const auto names, directory.Pilots());
  std::vector<PilotUsage> usages;
  for (const std::string& name : names) {
    if (skip && skip(name)) continue;
    const auto record = directory.ReadPilot(name);
    const auto state = directory.ReadState(name);
    if (!record.ok() || !state.ok()) continue;
    const JobSpec& spec = record->spec;
    PilotUsage& usage = usages.emplace_back();
    usage.name = name;
    usage.queue = spec.queue;
    usage.nodes = spec.nodes;
    usage.cpus = spec.nodes * spec.cpus;
    usage.gpus = spec.nodes * spec.gpus;
    usage.submitted = record->submitted;
    if (*state) {
      usage.started = (*state)->started;
      usage.held = (*state)->beat - (*state)->started;
      usage.busy = (*state)->busy;
    }
    if (!record->end) continue;
    const JobStatus& end = *record->end;
    if (end.started) usage.started = end.started;
    usage.ended = end.ended;
    if (end.usage.nodes > 0) usage.nodes = end.usage.nodes;
    if (end.usage.cpus > 0) usage.cpus = end.usage.cpus;
    if (end.usage.gpus > 0) usage.gpus = end.usage.gpus;
    // A task that was cut off with its pilot had the node to the end.
    if (*state && !(*state)->current.empty() && end.ended) {
      usage.busy += std::max(*end.ended - (*state)->beat, Timestamp::duration(0));
    }
    usage.held = end.usage.elapsed;
    if (usage.held.count() == 0 && usage.started && usage.ended) {
      usage.held = *usage.ended - *usage.started;
    }
    usage.held = std::max(usage.held, usage.busy);
  }
  return usages;
}

}  // namespace tributary::scheduler_adapters

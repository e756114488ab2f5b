#include "scheduler_adapters/batch_adapter.h"

#include <algorithm>

#include "core/files.h"
#include "core/log.h"
#include "core/text.h"

namespace tributary::scheduler_adapters {
namespace {

// How long a job may be unknown to a scheduler that answers before it counts as lost: longer than a
// listing lags behind, and than marks take to be seen through a network file system.
constexpr std::chrono::seconds kMissingFor{120};
// A run is noted durably this often: so much may be missing of one that a killed daemon watched.
constexpr std::chrono::seconds kNoteRunEvery{60};

bool IsJobName(std::string_view name) {
  JobSpec spec;
  spec.name = name;
  spec.working_directory = spec.stdout_path = spec.stderr_path = "/";
  spec.command = {"/"};
  return CheckJobSpec(spec).ok();
}

JobStatus Unknown(const std::string& id, std::string_view why) {
  JobStatus status;
  status.id = id;
  status.message = Excerpt(why, kMaxJobMessageBytes);
  return status;
}

// The job that works under this name: the booked one, unless another one of the name came first and
// claimed it (a submission that appeared after it had been given up).
std::string RunsAs(const BookedJob& job) {
  const JobMarks marks = ReadJobMarks(job.working_directory, job.name);
  return marks.claimed_by.empty() ? job.id : marks.claimed_by;
}

// What the script wrote down, where the scheduler does not say.
void FillFrom(const JobMarks& marks, JobStatus* status) {
  if (!status->started) status->started = marks.started;
  if (!status->ended) status->ended = marks.ended;
  if (!status->exit_code) status->exit_code = marks.exit_code;
  status->restarts = std::max(status->restarts, marks.starts - 1);
  if (status->usage.elapsed.count() == 0 && status->started && status->ended) {
    status->usage.elapsed =
        std::chrono::duration_cast<std::chrono::seconds>(*status->ended - *status->started);
  }
}

// The end of a job that the scheduler has forgotten.
JobStatus EndByMarks(const JobMarks& marks) {
  JobStatus status;
  status.raw_state = "forgotten";
  status.state = marks.exit_code == 0 ? JobState::kCompleted : JobState::kFailed;
  if (marks.exit_code != 0) {
    status.message = "exit code " + std::to_string(marks.exit_code.value_or(1));
  }
  return status;
}

// Told to end (a deletion, or its walltime), and killed before it had ended. The difference is in
// how long it ran.
JobStatus EndAsTold(const JobMarks& marks) {
  constexpr std::chrono::seconds kClose{15};  // the scheduler's start of a job and its script's
  JobStatus status;
  status.raw_state = "forgotten";
  status.ended = marks.told;
  const bool in_time =
      marks.walltime.count() == 0 || marks.ran_until_told + kClose < marks.walltime;
  status.state = in_time ? JobState::kCancelled : JobState::kTimedOut;
  status.message = in_time ? "it was told to end, not by this site's daemon"
                           : "it was told to end when its walltime was over";
  return status;
}

JobStatus EndWithoutMarks(bool ever_started) {
  JobStatus status;
  status.raw_state = "forgotten";
  status.state = JobState::kNodeFailed;
  status.message = ever_started ? "the scheduler has forgotten it, and it left no record of an end"
                                : "the scheduler has forgotten it before it started";
  return status;
}

}  // namespace

Result<std::unique_ptr<SchedulerAdapter>> BatchAdapter::Make(const SchedulerOptions& options,
                                                             std::unique_ptr<BatchSystem> system,
                                                             const Clock& clock) {
  if (!options.state_directory.starts_with('/')) {
    return InvalidArgumentError("scheduler.state_directory: \"" + Excerpt(options.state_directory) +
                                "\" must be an absolute path");
  }
  TRIBUTARY_RETURN_IF_ERROR(MakeDirectories(options.state_directory));
  TRIBUTARY_ASSIGN_OR_RETURN(JobBook book,
                             JobBook::Open(JoinPath(options.state_directory, "jobs.db")));
  TRIBUTARY_ASSIGN_OR_RETURN(const auto missing, book.Missing());
  std::unique_ptr<BatchAdapter> adapter(
      new BatchAdapter(options, std::move(system), clock, std::move(book)));
  for (const auto& [key, since] : missing) {
    const auto age = std::max(clock.Now() - since, Timestamp::duration(0));
    adapter->missing_since_[key] = clock.Elapsed() - age;
  }
  return std::unique_ptr<SchedulerAdapter>(std::move(adapter));
}

// How long the scheduler's answers have been without it, this one included. What cannot be noted is
// counted from the start of the next process.
std::chrono::microseconds BatchAdapter::MissingFor(const std::string& key) {
  const auto [at, begins] = missing_since_.try_emplace(key, clock_.Elapsed());
  if (begins) (void)book_.PutMissing(key, clock_.Now());
  return clock_.Elapsed() - at->second;
}

void BatchAdapter::NotMissing(const std::string& key) {
  const auto at = missing_since_.find(key);
  if (at == missing_since_.end()) return;
  (void)book_.RemoveMissing(std::string(key));
  missing_since_.erase(at);
}

Result<std::string> BatchAdapter::Submit(const JobSpec& spec) {
  TRIBUTARY_RETURN_IF_ERROR(CheckJobSpec(spec));
  TRIBUTARY_ASSIGN_OR_RETURN(std::optional<BookedJob> job, book_.ByName(spec.name));
  if (job && !job->id.empty()) {
    if (job->working_directory.empty()) {  // adopted by its name alone
      job->working_directory = spec.working_directory;
      TRIBUTARY_RETURN_IF_ERROR(book_.Put(*job));
    }
    return job->id;
  }
  if (job) {
    TRIBUTARY_ASSIGN_OR_RETURN(const auto found, LookFor(*job));
    if (found) return *found;
  }
  if (!job) {  // there may be one nevertheless: the book was lost with its disk
    TRIBUTARY_ASSIGN_OR_RETURN(const auto ids,
                               system_->FindByName(spec.name, /*with_history=*/false));
    if (!ids.empty()) {
      TRIBUTARY_RETURN_IF_ERROR(
          book_.Put({spec.name, ids[0], spec.working_directory, clock_.Now(), false, {}}));
      return ids[0];
    }
  }
  return SubmitNew(spec);
}

Result<std::string> BatchAdapter::SubmitNew(const JobSpec& spec) {
  BookedJob job;
  job.name = spec.name;
  job.working_directory = spec.working_directory;
  job.submitted = clock_.Now();
  const std::string script = JoinPath(spec.working_directory, "job.sh");
  TRIBUTARY_RETURN_IF_ERROR(
      WriteFileAtomic(script, RenderJobScript(spec, system_->HeadFor(spec)), 0700));
  NotMissing(spec.name);
  TRIBUTARY_RETURN_IF_ERROR(book_.Put(job));
  const auto printed = system_->SubmitScript(spec, script);
  if (!printed.ok()) {
    const Status why = printed.status().Annotate("submit job " + spec.name);
    if (why.code() != StatusCode::kUnavailable) {  // surely not taken
      TRIBUTARY_RETURN_IF_ERROR(book_.Remove(spec.name));
    }
    return why;
  }
  TRIBUTARY_ASSIGN_OR_RETURN(job.id, TheOneCalled(spec.name, *printed));
  // A note that cannot be written (a full disk) leaves the job to be found by its name.
  if (const Status noted = book_.Put(job); !noted.ok()) {
    return UnavailableError("job " + spec.name + " was submitted as " + job.id +
                            " but cannot be noted: " + noted.message());
  }
  return job.id;
}

// Of what a submission printed. Where none has the name, the scheduler is asked by it, now or, as
// after a submission without an answer, later.
Result<std::string> BatchAdapter::TheOneCalled(std::string_view name,
                                               const std::vector<std::string>& ids) {
  std::optional<std::string> unknown;
  for (const std::string& id : ids) {
    const auto called = system_->NameOf(id);
    if (called.status().code() == StatusCode::kInvalidArgument) continue;  // no id at all
    if (!called.ok()) return UnavailableError(called.status().message());
    if (*called == name) return id;
    if (!*called && !unknown) unknown = id;
  }
  TRIBUTARY_ASSIGN_OR_RETURN(const auto named, system_->FindByName(name, /*with_history=*/true));
  if (!named.empty()) return named.back();
  // Taken, and gone already: no destination of a routing queue wanted it.
  if (unknown && ids.size() == 1) return *unknown;
  return UnavailableError("job " + std::string(name) +
                          " was submitted, but no id that was printed is a job of this name");
}

// kNotFound: it ended long ago, or is not ours.
Status BatchAdapter::CancelIfCalled(const std::string& id, std::string_view name) {
  TRIBUTARY_ASSIGN_OR_RETURN(const auto called, system_->NameOf(id));
  if (called == name) return system_->CancelJob(id);
  return NotFoundError("job " + id + (called ? " is called " + Excerpt(*called) : " is not known"));
}

// The job of a submission whose answer is not known. Nothing when it surely was not taken.
Result<std::optional<std::string>> BatchAdapter::LookFor(BookedJob& job) {
  auto named = system_->FindByName(job.name, /*with_history=*/true);
  if (!named.ok()) {
    NotMissing(job.name);  // what is not said any more does not count
    return named.status();
  }
  std::vector<std::string> ids = *std::move(named);
  const JobMarks marks = ReadJobMarks(job.working_directory, job.name);
  if (!marks.claimed_by.empty()) {
    std::erase(ids, marks.claimed_by);
    ids.insert(ids.begin(), marks.claimed_by);
  }
  if (!ids.empty()) {
    job.id = ids[0];
    TRIBUTARY_RETURN_IF_ERROR(book_.Put(job));
    NotMissing(job.name);
    for (std::size_t i = 1; i < ids.size(); ++i) {
      LogWarning("scheduler", "a second job of one name is cancelled",
                 {{"name", job.name}, {"job", ids[i]}, {"first", ids[0]}});
      (void)CancelIfCalled(ids[i], job.name);  // should it run, its script does nothing
    }
    return std::optional(job.id);
  }
  if (MissingFor(job.name) < options_.settle) {
    return UnavailableError("job " + job.name +
                            ": a submission without an answer is still being looked for");
  }
  return std::optional<std::string>();
}

Result<std::optional<std::string>> BatchAdapter::Find(std::string_view name) {
  if (!IsJobName(name)) return std::optional<std::string>();
  TRIBUTARY_ASSIGN_OR_RETURN(std::optional<BookedJob> job, book_.ByName(name));
  if (job && !job->id.empty()) return std::optional(job->id);
  if (job) return LookFor(*job);
  TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<std::string> ids,
                             system_->FindByName(name, /*with_history=*/true));
  if (ids.empty()) return std::optional<std::string>();
  BookedJob adopted;
  adopted.name = name;
  adopted.id = ids[0];
  adopted.submitted = clock_.Now();
  TRIBUTARY_RETURN_IF_ERROR(book_.Put(adopted));
  return std::optional(adopted.id);
}

Status BatchAdapter::ForgetEnded(const std::function<bool(std::string_view name)>& unwanted) {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<std::string> names, book_.Ended());
  for (const std::string& name : names) {
    if (unwanted(name)) TRIBUTARY_RETURN_IF_ERROR(book_.Remove(name));
  }
  return OkStatus();
}

std::vector<JobStatus> BatchAdapter::Query(std::span<const std::string> ids) {
  std::map<std::string, std::optional<BookedJob>> booked;
  std::map<std::string, Status> trouble;
  std::vector<std::string> ask;
  std::map<std::string, std::string> runs_as;  // by id
  for (const std::string& id : ids) {
    if (!system_->IsJobId(id) || booked.contains(id)) continue;
    auto job = book_.ById(id);
    if (!job.ok()) {
      trouble[id] = job.status();
      continue;
    }
    runs_as[id] = *job && !(*job)->end ? RunsAs(**job) : id;
    if (!*job || !(*job)->end) ask.push_back(runs_as[id]);
    booked[id] = *std::move(job);
  }
  using Answers = std::map<std::string, JobStatus>;
  const Result<Answers> said = ask.empty() ? Result<Answers>(Answers()) : system_->List(ask);
  // Missing for a while means: in every answer of that while.
  if (!said.ok()) {
    while (!missing_since_.empty()) NotMissing(missing_since_.begin()->first);
  }
  std::vector<JobStatus> statuses;
  for (const std::string& id : ids) {
    const auto job = booked.find(id);
    if (trouble.contains(id)) {
      statuses.push_back(Unknown(id, trouble[id].message()));
    } else if (job == booked.end()) {
      statuses.push_back(Unknown(id, "no job of this id"));
    } else if (job->second && job->second->end) {
      statuses.push_back(*job->second->end);
    } else if (!said.ok()) {
      statuses.push_back(Unknown(id, said.status().message()));
    } else {
      const auto answer = said->find(runs_as[id]);
      auto judged =
          Judge(id, runs_as[id], job->second, answer == said->end() ? nullptr : &answer->second);
      statuses.push_back(judged.ok() ? *std::move(judged) : Unknown(id, judged.status().message()));
    }
  }
  return statuses;
}

// `said` is about `runs_as`, and null when the scheduler does not know that job. An end is booked
// before it is told.
Result<JobStatus> BatchAdapter::Judge(const std::string& id, const std::string& runs_as,
                                      std::optional<BookedJob> job, const JobStatus* said) {
  if (said != nullptr) NotMissing(id);
  if (said != nullptr && !IsTerminal(said->state)) {
    JobStatus status = *said;
    status.id = id;
    if (job && !status.submitted) status.submitted = job->submitted;
    if (job) Watch(*job, *said);
    return status;
  }
  if (!job) return said != nullptr ? *said : Unknown(id, "no job of this id");

  JobMarks marks = ReadJobMarks(job->working_directory, job->name);
  const bool ours = marks.claimed_by == runs_as;
  if (!ours) marks = JobMarks();
  JobStatus end;
  if (said != nullptr) {
    end = *said;
  } else if (marks.ended) {
    end = EndByMarks(marks);
  } else {
    if (MissingFor(id) < kMissingFor) {
      return Unknown(id, "the scheduler does not know the job; it is asked again");
    }
    end = marks.told ? EndAsTold(marks) : EndWithoutMarks(ours);
  }
  end.id = id;
  FillFrom(marks, &end);
  if (!end.submitted) end.submitted = job->submitted;
  TRIBUTARY_RETURN_IF_ERROR(CountRuns(*job, &end));
  if (!end.ended) end.ended = clock_.Now();
  // Schedulers report a cancelled job in many ways, some as a success.
  const bool finished_first = marks.ended && marks.exit_code == 0;
  if (job->cancel_requested && !finished_first) end.state = JobState::kCancelled;
  job->end = end;
  TRIBUTARY_RETURN_IF_ERROR(book_.Put(*job));
  NotMissing(id);
  return end;
}

void BatchAdapter::Watch(const BookedJob& job, const JobStatus& said) {
  const auto known = running_.find(job.id);
  if (said.state == JobState::kRunning && said.started) {
    Watched& watched = running_[job.id];
    const bool begins = watched.run.started != *said.started;
    // Between two looks it was in the queue: what was seen of the run before must not be lost.
    const bool again = begins && known != running_.end();
    if (again && !NoteRun(job, watched).ok()) return;
    if (begins) watched = {{*said.started, *said.started}, false, {}};
    watched.was_suspended = watched.was_suspended || said.suspended;
    watched.run.seen = std::max(clock_.Now(), watched.run.started);
    const bool due = begins || clock_.Elapsed() - watched.noted >= kNoteRunEvery;
    if (due && !NoteRun(job, watched).ok()) watched.noted = {};  // at the next look
    return;
  }
  const bool waits = said.state == JobState::kQueued || said.state == JobState::kHeld;
  if (!waits || known == running_.end()) return;
  if (said.ended && *said.ended > known->second.run.started) {
    known->second.run.seen = *said.ended;
  }
  if (NoteRun(job, known->second).ok()) running_.erase(known);
}

Status BatchAdapter::NoteRun(const BookedJob& job, Watched& watched) {
  watched.noted = clock_.Elapsed();
  return book_.PutRun(job.name, watched.run);
}

// The last run is the scheduler's to tell, but for what it leaves out: the time after the job's own
// end until its nodes are free. Where it was suspended, others had them. Runs before are counted
// here, unless the scheduler's number has them.
Status BatchAdapter::CountRuns(const BookedJob& job, JobStatus* end) {
  if (const auto watched = running_.find(job.id); watched != running_.end()) {
    TRIBUTARY_RETURN_IF_ERROR(NoteRun(job, watched->second));
  }
  TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<BookedRun> runs, book_.Runs(job.name));
  // Nobody saw the end: it is known to have run until it was last seen.
  if (!end->ended && !runs.empty()) end->ended = runs.back().seen;
  std::chrono::microseconds sum{0};
  const bool has_last = end->started && end->ended;
  for (const BookedRun& run : runs) {
    if (has_last && run.started == *end->started) continue;
    sum += run.seen - run.started;
  }
  if (has_last) {
    const auto watched = running_.find(job.id);
    const bool suspended = watched != running_.end() && watched->second.was_suspended;
    const std::chrono::microseconds whole =
        std::max(*end->ended - *end->started, Timestamp::duration(0));
    const std::chrono::microseconds told = end->usage.elapsed;
    if (end->usage.all_runs) {
      if (!suspended) sum += whole;
    } else {
      sum += suspended && told.count() > 0 ? told : std::max(told, whole);
    }
  }
  running_.erase(job.id);
  end->usage.elapsed = std::max(end->usage.elapsed, std::chrono::round<std::chrono::seconds>(sum));
  return OkStatus();
}

Status BatchAdapter::Cancel(const std::string& id) {
  if (!system_->IsJobId(id)) {
    return NotFoundError("job " + Excerpt(id, kMaxJobNameBytes) + " is not known");
  }
  TRIBUTARY_ASSIGN_OR_RETURN(std::optional<BookedJob> job, book_.ById(id));
  if (!job) return NotFoundError("job " + id + " was not submitted here");
  if (job->end) return OkStatus();
  if (!job->cancel_requested) {
    job->cancel_requested = true;
    TRIBUTARY_RETURN_IF_ERROR(book_.Put(*job));
  }
  const std::string runs_as = RunsAs(*job);
  if (runs_as != id) (void)CancelIfCalled(id, job->name);  // it does nothing, if it still waits
  const Status status = CancelIfCalled(runs_as, job->name);
  if (status.code() != StatusCode::kNotFound) return status;
  // It is gone, or was booked under an id that is not its own.
  TRIBUTARY_ASSIGN_OR_RETURN(const auto named,
                             system_->FindByName(job->name, /*with_history=*/false));
  for (const std::string& other : named) {
    const Status ended = CancelIfCalled(other, job->name);
    if (!ended.ok() && ended.code() != StatusCode::kNotFound) return ended;
  }
  return OkStatus();
}

Result<std::optional<Timestamp>> BatchAdapter::Estimate(const EstimateTarget& target) {
  if (const auto* spec = std::get_if<JobSpec>(&target)) {
    TRIBUTARY_RETURN_IF_ERROR(CheckJobSpec(*spec));
    const std::string script = JoinPath(options_.state_directory, "estimate.sh");
    TRIBUTARY_RETURN_IF_ERROR(
        WriteFileAtomic(script, RenderJobScript(*spec, system_->HeadFor(*spec)), 0700));
    return system_->EstimateNew(*spec, script);
  }
  const std::vector<std::string> ids = {std::get<std::string>(target)};
  const JobStatus status = Query(ids).at(0);
  if (IsTerminal(status.state) || status.state == JobState::kRunning) {
    return std::optional<Timestamp>();
  }
  if (status.state != JobState::kUnknown) return system_->EstimateQueued(status.id);
  const auto job = system_->IsJobId(status.id) ? book_.ById(status.id)
                                               : Result<std::optional<BookedJob>>(std::nullopt);
  TRIBUTARY_RETURN_IF_ERROR(job.status());
  if (*job) return UnavailableError(status.message);
  return NotFoundError("job " + Excerpt(status.id, kMaxJobNameBytes) + " is not known");
}

Result<std::vector<NamedJob>> BatchAdapter::ListLive(std::string_view name_prefix) {
  return system_->ListLive(name_prefix);
}

Status BatchAdapter::CheckAccepted(const JobSpec& spec) {
  TRIBUTARY_RETURN_IF_ERROR(CheckJobSpec(spec));
  const std::string script = JoinPath(options_.state_directory, "check.sh");
  TRIBUTARY_RETURN_IF_ERROR(
      WriteFileAtomic(script, RenderJobScript(spec, system_->HeadFor(spec)), 0700));
  return system_->CheckAccepted(spec, script);
}

}  // namespace tributary::scheduler_adapters

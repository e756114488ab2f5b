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
  return std::unique_ptr<SchedulerAdapter>(
      new BatchAdapter(options, std::move(system), clock, std::move(book)));
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
  if (!job) {  // one may live nevertheless: the book was lost with its disk
    TRIBUTARY_ASSIGN_OR_RETURN(const auto live, system_->ListLive(spec.name));
    for (const NamedJob& other : live) {
      if (other.name != spec.name) continue;
      TRIBUTARY_RETURN_IF_ERROR(
          book_.Put({spec.name, other.id, spec.working_directory, clock_.Now(), false, {}}));
      return other.id;
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
  missing_since_.erase(spec.name);
  TRIBUTARY_RETURN_IF_ERROR(book_.Put(job));
  auto id = system_->SubmitScript(spec, script);
  if (!id.ok()) {
    const Status why = id.status().Annotate("submit job " + spec.name);
    if (why.code() == StatusCode::kInvalidArgument) {
      TRIBUTARY_RETURN_IF_ERROR(book_.Remove(spec.name));
    }
    return why;
  }
  job.id = *id;
  // A note that cannot be written (a full disk) leaves the job to be found by its name.
  if (const Status noted = book_.Put(job); !noted.ok()) {
    return UnavailableError("job " + spec.name + " was submitted as " + job.id +
                            " but cannot be noted: " + noted.message());
  }
  return id;
}

// The job of a submission whose answer is not known. Nothing when it surely was not taken.
Result<std::optional<std::string>> BatchAdapter::LookFor(BookedJob& job) {
  auto named = system_->FindByName(job.name);
  if (!named.ok()) {
    missing_since_.erase(job.name);  // what is not said any more does not count
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
    missing_since_.erase(job.name);
    for (std::size_t i = 1; i < ids.size(); ++i) {
      LogWarning("scheduler", "a second job of one name is cancelled",
                 {{"name", job.name}, {"job", ids[i]}, {"first", ids[0]}});
      (void)system_->CancelJob(ids[i]);  // should it run, its script does nothing
    }
    return std::optional(job.id);
  }
  const Timestamp since = missing_since_.try_emplace(job.name, clock_.Now()).first->second;
  if (clock_.Now() - since < options_.settle) {
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
  TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<std::string> ids, system_->FindByName(name));
  if (ids.empty()) return std::optional<std::string>();
  BookedJob adopted;
  adopted.name = name;
  adopted.id = ids[0];
  adopted.submitted = clock_.Now();
  TRIBUTARY_RETURN_IF_ERROR(book_.Put(adopted));
  return std::optional(adopted.id);
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
  if (!said.ok()) missing_since_.clear();
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
  if (said != nullptr) missing_since_.erase(id);
  if (said != nullptr && !IsTerminal(said->state)) {
    JobStatus status = *said;
    status.id = id;
    if (job && !status.submitted) status.submitted = job->submitted;
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
    const Timestamp since = missing_since_.try_emplace(id, clock_.Now()).first->second;
    if (clock_.Now() - since < kMissingFor) {
      return Unknown(id, "the scheduler does not know the job; it is asked again");
    }
    end = EndWithoutMarks(ours);
  }
  end.id = id;
  FillFrom(marks, &end);
  if (!end.submitted) end.submitted = job->submitted;
  if (!end.ended) end.ended = clock_.Now();
  // Schedulers report a cancelled job in many ways, some as a success.
  const bool finished_first = marks.ended && marks.exit_code == 0;
  if (job->cancel_requested && !finished_first) end.state = JobState::kCancelled;
  job->end = end;
  TRIBUTARY_RETURN_IF_ERROR(book_.Put(*job));
  missing_since_.erase(id);
  return end;
}

Status BatchAdapter::Cancel(const std::string& id) {
  if (!system_->IsJobId(id)) {
    return NotFoundError("job " + Excerpt(id, kMaxJobNameBytes) + " is not known");
  }
  TRIBUTARY_ASSIGN_OR_RETURN(std::optional<BookedJob> job, book_.ById(id));
  if (job && job->end) return OkStatus();
  if (!job) {  // not every scheduler says so when it is told to cancel
    const std::vector<std::string> ids = {id};
    TRIBUTARY_ASSIGN_OR_RETURN(const auto said, system_->List(ids));
    if (!said.contains(id)) return NotFoundError("job " + id + " is not known");
  } else if (!job->cancel_requested) {
    job->cancel_requested = true;
    TRIBUTARY_RETURN_IF_ERROR(book_.Put(*job));
  }
  const std::string runs_as = job ? RunsAs(*job) : id;
  if (runs_as != id) (void)system_->CancelJob(id);  // it does nothing, if it still waits
  const Status status = system_->CancelJob(runs_as);
  return job && status.code() == StatusCode::kNotFound ? OkStatus() : status;
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

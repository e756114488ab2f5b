#include "scheduler_adapters/fake_adapter.h"

#include <algorithm>

#include "core/text.h"

namespace tributary::scheduler_adapters {

FakeCluster::FakeCluster(const Clock& clock, Planner planner)
    : clock_(clock), planner_(std::move(planner)) {}

void FakeCluster::RunDueJobs() {
  const Timestamp now = clock_.Now();
  for (auto& [id, job] : jobs_) {
    const bool due = !job.ran && !job.cancelled && now >= job.submitted + job.plan.queue_time;
    if (!due) continue;
    job.ran = true;
    if (job.plan.run) job.plan.exit_code = job.plan.run(job.spec);
  }
}

const FakeCluster::Job* FakeCluster::Find(std::string_view id) const {
  const auto it = jobs_.find(std::string(id));
  if (it == jobs_.end()) return nullptr;
  const Job& job = it->second;
  const auto& forgotten = job.plan.forgotten_after;
  return forgotten && clock_.Now() - job.submitted >= *forgotten ? nullptr : &job;
}

JobStatus FakeCluster::StatusOf(const Job& job) const {
  const Timestamp now = clock_.Now();
  const Timestamp start = job.submitted + job.plan.queue_time;
  const bool too_long = job.spec.walltime.count() > 0 && job.plan.run_time > job.spec.walltime;
  const Timestamp end =
      start + (too_long ? std::chrono::microseconds(job.spec.walltime) : job.plan.run_time);

  JobStatus status;
  status.submitted = job.submitted;
  const Timestamp last = job.cancelled.value_or(now);
  if (last >= start && job.ran) status.started = start;
  if (job.cancelled) {
    status.state = JobState::kCancelled;
    status.ended = job.cancelled;
    status.message = "cancelled";
  } else if (now < start) {
    status.state = JobState::kQueued;
  } else if (now < end) {
    status.state = JobState::kRunning;
    status.suspended = job.plan.suspended;
  } else {
    const int code = too_long ? 128 + SIGKILL : job.plan.exit_code;
    status.ended = end;
    status.exit_code = code;
    status.message = Excerpt(job.plan.message, kMaxJobMessageBytes);
    status.state = job.plan.end_state.value_or(too_long    ? JobState::kTimedOut
                                               : code == 0 ? JobState::kCompleted
                                                           : JobState::kFailed);
    if (status.message.empty() && code != 0) status.message = "exit code " + std::to_string(code);
  }
  status.raw_state = JobStateName(status.state);
  return status;
}

Result<std::string> FakeSchedulerAdapter::Submit(const JobSpec& spec) {
  TRIBUTARY_RETURN_IF_ERROR(cluster_.outage_);
  TRIBUTARY_RETURN_IF_ERROR(CheckJobSpec(spec));
  const std::string id = "fake-" + std::to_string(cluster_.jobs_.size() + 1);
  const auto [it, is_new] = cluster_.ids_.emplace(spec.name, id);
  if (is_new) {
    cluster_.jobs_[id] = {spec, cluster_.planner_(spec), cluster_.clock_.Now(), {}, false};
  }
  return it->second;
}

std::vector<JobStatus> FakeSchedulerAdapter::Query(std::span<const std::string> ids) {
  if (cluster_.outage_.ok()) cluster_.RunDueJobs();
  std::vector<JobStatus> statuses;
  for (const std::string& id : ids) {
    const FakeCluster::Job* job = cluster_.Find(id);
    JobStatus status;
    if (!cluster_.outage_.ok()) {
      status.message = Excerpt(cluster_.outage_.ToString(), kMaxJobMessageBytes);
    } else if (job == nullptr) {
      status.message = "no job of this id";
    } else {
      status = cluster_.StatusOf(*job);
    }
    status.id = id;
    statuses.push_back(std::move(status));
  }
  return statuses;
}

Status FakeSchedulerAdapter::Cancel(const std::string& id) {
  TRIBUTARY_RETURN_IF_ERROR(cluster_.outage_);
  cluster_.RunDueJobs();
  const auto it = cluster_.jobs_.find(id);
  if (cluster_.Find(id) == nullptr) {
    return NotFoundError("job " + Excerpt(id, kMaxJobNameBytes) + " is not known");
  }
  if (IsTerminal(cluster_.StatusOf(it->second).state)) return OkStatus();
  if (cluster_.forget_cancellations_ > 0) {
    --cluster_.forget_cancellations_;
  } else {
    it->second.cancelled = cluster_.clock_.Now();
  }
  return OkStatus();
}

Result<std::optional<Timestamp>> FakeSchedulerAdapter::Estimate(const EstimateTarget& target) {
  TRIBUTARY_RETURN_IF_ERROR(cluster_.outage_);
  const Timestamp now = cluster_.clock_.Now();
  if (const auto* spec = std::get_if<JobSpec>(&target)) {
    TRIBUTARY_RETURN_IF_ERROR(CheckJobSpec(*spec));
    return std::optional(now + cluster_.planner_(*spec).queue_time);
  }
  const std::string& id = std::get<std::string>(target);
  const auto it = cluster_.jobs_.find(id);
  if (it == cluster_.jobs_.end()) {
    return NotFoundError("job " + Excerpt(id, kMaxJobNameBytes) + " is not known");
  }
  const FakeCluster::Job& job = it->second;
  if (cluster_.StatusOf(job).state != JobState::kQueued) return std::optional<Timestamp>();
  return std::optional(job.submitted + job.plan.queue_time);
}

Result<std::optional<std::string>> FakeSchedulerAdapter::Find(std::string_view name) {
  TRIBUTARY_RETURN_IF_ERROR(cluster_.outage_);
  const auto it = cluster_.ids_.find(name);
  if (it == cluster_.ids_.end() || cluster_.Find(it->second) == nullptr) {
    return std::optional<std::string>();
  }
  return std::optional(it->second);
}

Result<std::vector<NamedJob>> FakeSchedulerAdapter::ListLive(std::string_view name_prefix) {
  TRIBUTARY_RETURN_IF_ERROR(cluster_.outage_);
  cluster_.RunDueJobs();
  std::vector<NamedJob> live;
  for (const auto& [name, id] : cluster_.ids_) {
    if (cluster_.Find(id) == nullptr) continue;
    const JobState state = cluster_.StatusOf(cluster_.jobs_.at(id)).state;
    if (name.starts_with(name_prefix) && !IsTerminal(state)) live.push_back({name, id});
  }
  return live;
}

Status FakeSchedulerAdapter::ForgetEnded(
    const std::function<bool(std::string_view name)>& unwanted) {
  TRIBUTARY_RETURN_IF_ERROR(cluster_.outage_);
  std::erase_if(cluster_.ids_, [&](const auto& known) {
    const FakeCluster::Job& job = cluster_.jobs_.at(known.second);
    return IsTerminal(cluster_.StatusOf(job).state) && unwanted(known.first);
  });
  return OkStatus();
}

Status FakeSchedulerAdapter::CheckAccepted(const JobSpec& spec) {
  TRIBUTARY_RETURN_IF_ERROR(cluster_.outage_);
  return CheckJobSpec(spec);
}

Result<std::string> FakeSchedulerAdapter::Version() {
  TRIBUTARY_RETURN_IF_ERROR(cluster_.outage_);
  return std::string("fake");
}

}  // namespace tributary::scheduler_adapters

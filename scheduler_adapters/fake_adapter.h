// A scheduler in memory that does what a script says, in the time of a given clock: for tests,
// benchmarks and simulation.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "scheduler_adapters/scheduler_adapter.h"

namespace tributary::scheduler_adapters {

// What happens to one job.
struct FakeJobPlan {
  std::chrono::microseconds queue_time{0};
  std::chrono::microseconds run_time{0};  // longer than the job's walltime: times out
  int exit_code = 0;
  std::optional<JobState> end_state =
      {};  // instead of what the exit code says: preempted, node failed, ...
  std::string message = {};
  bool suspended = false;  // all the time that it runs
  // From then on, counted from its submission, nothing is known of it.
  std::optional<std::chrono::microseconds> forgotten_after = {};
  // The job itself. Called once, by the first call of the cluster at or after the job's start, in
  // the caller's thread; its value replaces `exit_code`.
  std::function<int(const JobSpec&)> run = {};
};

// The scripted machine: its jobs outlive the adapters that speak with it. One thread at a time;
// `clock` outlives it.
class FakeCluster {
 public:
  using Planner = std::function<FakeJobPlan(const JobSpec&)>;

  explicit FakeCluster(
      const Clock& clock, Planner planner = [](const JobSpec&) { return FakeJobPlan{}; });

  // While set, the scheduler cannot be asked: Query says unknown, the rest fails with this.
  void SetOutage(Status outage) { outage_ = std::move(outage); }
  // So many cancellations are taken, and forgotten.
  void ForgetCancellations(int count) { forget_cancellations_ = count; }
  // How many jobs were really queued: repeated submissions of one name do not count.
  int submissions() const { return static_cast<int>(jobs_.size()); }

 private:
  friend class FakeSchedulerAdapter;
  struct Job {
    JobSpec spec;
    FakeJobPlan plan;
    Timestamp submitted;
    std::optional<Timestamp> cancelled;
    bool ran = false;
  };

  void RunDueJobs();
  const Job* Find(std::string_view id) const;  // null: not known, any more
  JobStatus StatusOf(const Job& job) const;

  const Clock& clock_;
  Planner planner_;
  Status outage_;
  int forget_cancellations_ = 0;
  std::map<std::string, Job> jobs_;                      // by id, "fake-1" and so on
  std::map<std::string, std::string, std::less<>> ids_;  // by name
};

// One client's view of a cluster, which outlives it.
class FakeSchedulerAdapter final : public SchedulerAdapter {
 public:
  explicit FakeSchedulerAdapter(FakeCluster& cluster) : cluster_(cluster) {}

  Result<std::string> Submit(const JobSpec& spec) override;
  std::vector<JobStatus> Query(std::span<const std::string> ids) override;
  Status Cancel(const std::string& id) override;
  Result<std::optional<Timestamp>> Estimate(const EstimateTarget& target) override;
  Result<std::optional<std::string>> Find(std::string_view name) override;
  Result<std::vector<NamedJob>> ListLive(std::string_view name_prefix) override;
  Status ForgetEnded(const std::function<bool(std::string_view name)>& unwanted) override;
  Status CheckAccepted(const JobSpec& spec) override;
  std::string Render(const JobSpec& spec) const override { return spec.name + "\n"; }
  Result<std::string> Version() override;

 private:
  FakeCluster& cluster_;
};

}  // namespace tributary::scheduler_adapters

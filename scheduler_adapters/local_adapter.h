// Jobs on this machine, without a scheduler: for workstations and demonstrations.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "scheduler_adapters/scheduler_adapter.h"

namespace tributary::scheduler_adapters {

// Each job runs at once, under a supervisor process of its own that outlives the daemon (see
// local_supervisor.h). What is known of a job lies in <state_directory>/<job name>/ (see
// local_job_directory.h); the object itself remembers nothing, so that a new one goes on where
// another was killed. One daemon for each state directory, which is on a local file system. Ids are
// job names. Query() costs a few system calls for each job.
class LocalSchedulerAdapter final : public SchedulerAdapter {
 public:
  LocalSchedulerAdapter(SchedulerOptions options, const Clock& clock)
      : options_(std::move(options)), clock_(clock) {}

  Result<std::string> Submit(const JobSpec& spec) override;
  std::vector<JobStatus> Query(std::span<const std::string> ids) override;
  Status Cancel(const std::string& id) override;
  Result<std::optional<Timestamp>> Estimate(const EstimateTarget& target) override;
  Result<std::optional<std::string>> Find(std::string_view name) override;
  Result<std::vector<NamedJob>> ListLive(std::string_view name_prefix) override;
  Status ForgetEnded(const std::function<bool(std::string_view name)>& unwanted) override;
  Status CheckAccepted(const JobSpec& spec) override { return CheckFits(spec); }
  std::string Render(const JobSpec& spec) const override;
  Result<std::string> Version() override { return std::string("local"); }

 private:
  Status CheckFits(const JobSpec& spec) const;
  Result<std::string> SubmitOnce(const JobSpec& spec, const std::string& directory);
  JobStatus QueryOne(const std::string& id) const;

  SchedulerOptions options_;
  const Clock& clock_;
};

// Checks the options and makes the state directory.
Result<std::unique_ptr<SchedulerAdapter>> MakeLocalSchedulerAdapter(const SchedulerOptions& options,
                                                                    const Clock& clock);

}  // namespace tributary::scheduler_adapters

// Slurm, 20.11 to 26.05, by its commands' text output.
//
// squeue says what a job is; sacct is asked only about jobs that squeue does not know any more,
// because it lags behind, and shows a terminal state of jobs that were put back into the queue. A
// site without accounting is served by squeue alone: what it forgets (MinJobAge), the marks of the
// job's script must tell.
//
// One cluster at a time: the one that the site's directives or SLURM_CLUSTERS choose, or else the
// commands' own. Ids carry a chosen one, so that jobs are asked about where they went, also after
// the choice has changed.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "scheduler_adapters/batch_system.h"
#include "scheduler_adapters/command_runner.h"
#include "scheduler_adapters/slurm_text.h"

namespace tributary::scheduler_adapters {

// One thread at a time.
class SlurmSystem final : public BatchSystem {
 public:
  explicit SlurmSystem(const SchedulerOptions& options);

  std::string_view name() const override { return "slurm"; }
  bool IsJobId(std::string_view id) const override;
  ScriptHead HeadFor(const JobSpec& spec) const override;
  Result<std::vector<std::string>> SubmitScript(const JobSpec& spec,
                                                const std::string& script_path) override;
  Result<std::optional<std::string>> NameOf(const std::string& id) override;
  Result<std::map<std::string, JobStatus>> List(std::span<const std::string> ids) override;
  Result<std::vector<std::string>> FindByName(std::string_view name, bool with_history) override;
  Result<std::vector<NamedJob>> ListLive(std::string_view name_prefix) override;
  Status CancelJob(const std::string& id) override;
  Result<std::optional<Timestamp>> EstimateQueued(const std::string& id) override;
  Result<std::optional<Timestamp>> EstimateNew(const JobSpec& spec,
                                               const std::string& script_path) override;
  Status CheckAccepted(const JobSpec& spec, const std::string& script_path) override;
  Result<std::string> Version() override;

 private:
  using OnSqueueJob = std::function<void(const SqueueJob&)>;
  using Statuses = std::map<std::string, JobStatus>;

  Result<CommandResult> Run(const std::vector<std::string>& command,
                            const CommandRunner::Sink& sink = {});
  Status CheckSpec(const JobSpec& spec) const;
  // Jobs of one cluster, by their numbers. A cluster's name is empty for the commands' own.
  // This user's jobs that the controller still knows, ended or not, one by one as they are read.
  Status ReadSqueue(const std::string& cluster, const std::vector<std::string>& filter,
                    const OnSqueueJob& on_job);
  // The same from accounting; nothing at all at a site that has none.
  Result<SacctJobs> ReadSacct(const std::string& cluster, const std::vector<std::string>& filter);
  Result<SacctJobs> RecordsOf(const std::string& cluster, const std::set<std::string>& numbers);
  Result<Statuses> ListOn(const std::string& cluster, const std::set<std::string>& numbers);
  Result<CommandResult> TestOnly(const JobSpec& spec, const std::string& script_path);
  const std::string& User();

  CommandRunner runner_;
  const SchedulerOptions options_;
  const std::string cluster_;
  std::optional<std::string> user_;
  bool accounting_ = true;  // until Slurm says that there is none
};

}  // namespace tributary::scheduler_adapters

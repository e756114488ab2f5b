// Slurm, 20.11 to 26.05, by its commands' text output.
//
// squeue says what a job is; sacct is asked only about jobs that squeue does not know any more,
// because it lags behind, and shows a terminal state of jobs that were put back into the queue. A
// site without accounting is served by squeue alone: what it forgets (MinJobAge), the marks of the
// job's script must tell.
//
// One cluster: with several, set SLURM_CLUSTERS in the daemon's environment.
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
  // `requeue`: jobs may be put back into the queue after a node failed or a better one came.
  SlurmSystem(CommandRunnerOptions options, bool requeue)
      : runner_(std::move(options)), requeue_(requeue) {}

  std::string_view name() const override { return "slurm"; }
  bool IsJobId(std::string_view id) const override;
  ScriptHead HeadFor(const JobSpec& spec) const override;
  Result<std::string> SubmitScript(const JobSpec& spec, const std::string& script_path) override;
  Result<std::map<std::string, JobStatus>> List(std::span<const std::string> ids) override;
  Result<std::vector<std::string>> FindByName(std::string_view name) override;
  Result<std::vector<NamedJob>> ListLive(std::string_view name_prefix) override;
  Status CancelJob(const std::string& id) override;
  Result<std::optional<Timestamp>> EstimateQueued(const std::string& id) override;
  Result<std::optional<Timestamp>> EstimateNew(const JobSpec& spec,
                                               const std::string& script_path) override;
  Status CheckAccepted(const JobSpec& spec, const std::string& script_path) override;
  Result<std::string> Version() override;

 private:
  using OnSqueueJob = std::function<void(const SqueueJob&)>;

  Result<CommandResult> Run(const std::vector<std::string>& command,
                            const CommandRunner::Sink& sink = {});
  // This user's jobs that the controller still knows, ended or not, one by one as they are read.
  Status ReadSqueue(const std::vector<std::string>& filter, const OnSqueueJob& on_job);
  // The same from accounting; nothing at all at a site that has none.
  Result<SacctJobs> ReadSacct(const std::vector<std::string>& filter);
  Result<SacctJobs> RecordsOf(const std::set<std::string>& ids);
  Result<CommandResult> TestOnly(const JobSpec& spec, const std::string& script_path);

  CommandRunner runner_;
  const bool requeue_;
  bool accounting_ = true;  // until Slurm says that there is none
};

}  // namespace tributary::scheduler_adapters

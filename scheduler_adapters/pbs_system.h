// OpenPBS and PBS Professional by their commands: qsub, qstat, qdel, qselect; pbsnodes to check.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "scheduler_adapters/batch_system.h"
#include "scheduler_adapters/command_runner.h"
#include "scheduler_adapters/pbs_listing.h"

namespace tributary::scheduler_adapters {

// What keeps it from wrong conclusions:
// - qstat prints valid, empty JSON when it cannot reach its server. Only its exit statuses 0, 35
//   (the job has finished) and 153 (no such job) say anything about jobs.
// - Some qstat answer for the first of several ids only. A job is unknown when a question for it
//   alone ends with 153, never because it is missing from a listing.
// - Some servers crash over a qdel with several ids. Each qdel has one.
// - A listing of everybody's jobs has everybody's texts in it. From one that is not whole nothing
// is
//   believed, from any no end; whose a job is and how it is called, qselect or a question for it
//   alone says.
// - Commands have no time limit of their own; a qsub that was stopped may have submitted.
class PbsSystem final : public BatchSystem {
 public:
  explicit PbsSystem(const SchedulerOptions& options);

  std::string_view name() const override { return "pbs"; }
  bool IsJobId(std::string_view id) const override;
  ScriptHead HeadFor(const JobSpec& spec) const override;
  Result<std::vector<std::string>> SubmitScript(const JobSpec& spec,
                                                const std::string& script_path) override;
  Result<std::optional<std::string>> NameOf(const std::string& id) override;
  // At most kMostSingly jobs are asked for one by one in a call; the others are kUnknown until the
  // next.
  Result<std::map<std::string, JobStatus>> List(std::span<const std::string> ids) override;
  Result<std::vector<std::string>> FindByName(std::string_view name, bool with_history) override;
  Result<std::vector<NamedJob>> ListLive(std::string_view name_prefix) override;
  Status CancelJob(const std::string& id) override;
  Result<std::optional<Timestamp>> EstimateQueued(const std::string& id) override;
  Result<std::optional<Timestamp>> EstimateNew(const JobSpec& spec,
                                               const std::string& script_path) override;
  // PBS has no way to ask: submits the script on hold, as "<name>.check", and deletes it. A routing
  // queue takes any job, so that its destinations' limits are not seen. Failed precondition: the
  // queue is stopped.
  Status CheckAccepted(const JobSpec& spec, const std::string& script_path) override;
  Result<std::string> Version() override;

 private:
  static constexpr std::size_t kMostSingly = 32;

  struct Listing;
  using Statuses = std::map<std::string, JobStatus>;
  using TakeJob = std::function<void(std::string_view id, PbsAttributes attributes)>;

  Result<CommandResult> Run(const std::vector<std::string>& command);
  Result<std::vector<std::string>> Qsub(const JobSpec& spec,
                                        const std::vector<std::string>& command);
  // Whose jobs these commands submit; empty when that cannot be learnt.
  const std::string& User();
  bool IsOurs(const PbsAttributes& job);
  Result<Listing> Qstat(const std::vector<std::string>& arguments,
                        const PbsListingSplitter::Wanted& wanted, const TakeJob& take);
  // With -x while the server keeps the history of jobs.
  Result<Listing> QstatWithHistory(const std::vector<std::string>& ids,
                                   const PbsListingSplitter::Wanted& wanted, const TakeJob& take);
  // Of the listing of `arguments` (ids, or nothing for all live jobs), those that are in `ids`.
  Result<Listing> ListWanted(std::span<const std::string> ids,
                             const std::vector<std::string>& arguments, Statuses* found);
  Status ListTogether(std::span<const std::string> ids, Statuses* said);
  Status ListAll(std::span<const std::string> ids, Statuses* said);
  // Nothing: PBS does not know the job. kInvalidArgument: it will not be asked about this id.
  Result<std::optional<PbsAttributes>> Ask(const std::string& id);
  Result<std::optional<PbsAttributes>> AskForText(const std::string& id);
  // This user's jobs; of this name, unless it is empty.
  Result<std::vector<std::string>> Qselect(std::string_view name, bool with_history);
  // What a listing of all says they are called, as far as it can be believed; by id.
  Result<std::map<std::string, std::string>> NamesAmongAll(const std::vector<std::string>& ids);
  Status DeleteChecks(const std::string& name);
  Status CheckRuns(const JobSpec& spec);

  CommandRunner runner_;
  const SchedulerOptions options_;
  std::optional<std::string> user_;
  const bool requeue_;
  bool keeps_history_ = true;
  bool lists_first_only_ = false;
};

}  // namespace tributary::scheduler_adapters

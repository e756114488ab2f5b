// What differs between batch systems: their commands and how their answers are read. What they have
// in common is in batch_adapter.h.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "scheduler_adapters/job_script.h"
#include "scheduler_adapters/scheduler_adapter.h"

namespace tributary::scheduler_adapters {

// One thread at a time. Holds no memory of jobs. Every failure to learn something is kUnavailable
// with the command's own words; nothing is concluded from a failure.
class BatchSystem {
 public:
  virtual ~BatchSystem() = default;

  virtual std::string_view name() const = 0;  // "slurm"
  virtual bool IsJobId(std::string_view id) const = 0;
  virtual ScriptHead HeadFor(const JobSpec& spec) const = 0;

  // Submits the script and returns what may be its id: at least one, the likeliest first. Sites'
  // wrappers print numbers of their own, so none is believed before NameOf says the job's name.
  // kInvalidArgument: refused, for good. kResourceExhausted: refused for now. kUnavailable: it may
  // or may not have been taken.
  virtual Result<std::vector<std::string>> SubmitScript(const JobSpec& spec,
                                                        const std::string& script_path) = 0;

  // The name of this user's live job of this id, asked for alone; nothing when there surely is no
  // such job, when it has ended, or when it is somebody else's. Some still tell an ended one's.
  // kInvalidArgument: what was asked about is no id of this scheduler's.
  virtual Result<std::optional<std::string>> NameOf(const std::string& id) = 0;

  // What the scheduler says about these jobs, live or ended, by id. A job that it surely does not
  // know is absent; one that it could not be asked about is there as kUnknown. Fails when nothing
  // could be learnt.
  virtual Result<std::map<std::string, JobStatus>> List(std::span<const std::string> ids) = 0;

  // Ids of this user's jobs of exactly this name, the oldest first: the live ones, or with_history
  // also those that ended, as far as the scheduler remembers. Texts of other users cannot add to
  // them.
  virtual Result<std::vector<std::string>> FindByName(std::string_view name, bool with_history) = 0;
  // For a look-out only: a job that is to be cancelled is asked about by NameOf first.
  virtual Result<std::vector<NamedJob>> ListLive(std::string_view name_prefix) = 0;

  // OK also for a job that has ended. kNotFound when the scheduler says that it knows no such job.
  virtual Status CancelJob(const std::string& id) = 0;

  virtual Result<std::optional<Timestamp>> EstimateQueued(const std::string& id) = 0;
  // Of a job that is not submitted; nothing when the scheduler cannot say.
  virtual Result<std::optional<Timestamp>> EstimateNew(const JobSpec& spec,
                                                       const std::string& script_path) = 0;
  virtual Status CheckAccepted(const JobSpec& spec, const std::string& script_path) = 0;
  virtual Result<std::string> Version() = 0;
};

// Their command runners take the options' prefix, directory, time limit and rate.
std::unique_ptr<BatchSystem> MakeSlurm(const SchedulerOptions& options);
std::unique_ptr<BatchSystem> MakePbs(const SchedulerOptions& options);

}  // namespace tributary::scheduler_adapters

#include "scheduler_adapters/queue_survey.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "core/files.h"
#include "scheduler_adapters/command_runner.h"
#include "scheduler_adapters/pbs_site.h"
#include "scheduler_adapters/scheduler_user.h"
#include "scheduler_adapters/slurm_site.h"

namespace tributary::scheduler_adapters {
namespace {

bool HasProgram(const SchedulerOptions& options, const std::string& name) {
  const char* path = std::getenv("PATH");
  std::string_view directories = path == nullptr ? "/usr/local/bin:/usr/bin:/bin" : path;
  if (!options.command_directory.empty()) directories = options.command_directory;
  while (!directories.empty()) {
    const std::string_view directory = directories.substr(0, directories.find(':'));
    directories.remove_prefix(std::min(directories.size(), directory.size() + 1));
    if (!directory.empty() && access(JoinPath(directory, name).c_str(), X_OK) == 0) return true;
  }
  return false;
}

Result<std::string> OutputOf(CommandRunner& runner, const std::vector<std::string>& command) {
  TRIBUTARY_ASSIGN_OR_RETURN(CommandResult result, runner.Run(command));
  if (!result.ok()) return UnavailableError(command[0] + ": " + result.Summary());
  return std::move(result.out);
}

Result<QueueSurvey> SurveySlurm(CommandRunner& runner, const std::string& user) {
  QueueSurvey survey;
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string partitions,
                             OutputOf(runner, {"sinfo", "-h", "-o", std::string(kSinfoColumns)}));
  survey.queues = ParsePartitions(partitions);
  const auto accounts =
      OutputOf(runner, {"sacctmgr", "-nP", "show", "assoc", "user=" + user, "format=Account"});
  if (accounts.ok()) survey.accounts = ParseAccounts(*accounts);
  return survey;
}

Result<QueueSurvey> SurveyPbs(CommandRunner& runner) {
  QueueSurvey survey;
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string server, OutputOf(runner, {"qstat", "-B", "-f"}));
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string queues, OutputOf(runner, {"qstat", "-Q", "-f"}));
  survey.queues = ParsePbsQueues(queues, DefaultPbsQueue(server));
  // Which nodes serve which queue is a site's own affair: the largest stands for all.
  const auto listing = OutputOf(runner, {"pbsnodes", "-a", "-F", "json"});
  const auto hosts = listing.ok() ? ParsePbsNodes(*listing) : listing.status();
  for (const PbsHost& host : hosts.ok() ? *hosts : std::vector<PbsHost>()) {
    for (QueueOffer& queue : survey.queues) {
      queue.cpus = std::max(queue.cpus, host.cpus);
      queue.gpus = std::max(queue.gpus, host.gpus);
    }
  }
  return survey;
}

}  // namespace

std::string FindScheduler(const SchedulerOptions& options) {
  if (HasProgram(options, "sbatch") && HasProgram(options, "sinfo")) return "slurm";
  if (HasProgram(options, "qsub") && HasProgram(options, "qstat")) return "pbs";
  return "local";
}

Result<QueueSurvey> SurveyQueues(const SchedulerOptions& options) {
  CommandRunner runner(RunnerOptions(options));
  if (options.adapter == "slurm") return SurveySlurm(runner, SchedulerUser(options));
  if (options.adapter == "pbs") return SurveyPbs(runner);
  return InvalidArgumentError("adapter " + options.adapter + " has no queues");
}

}  // namespace tributary::scheduler_adapters

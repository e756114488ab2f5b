#include "client/job_rendering.h"

#include <algorithm>
#include <csignal>

#include "client/launcher.h"
#include "core/files.h"
#include "core/sha256.h"
#include "scheduler_adapters/job_script.h"
#include "security/pki.h"

namespace tributary::client {
namespace {

constexpr std::size_t kReadable = 24;  // characters of the task's id in a job's name

// A program by name is looked up in the job's own PATH, after its modules.
void AppendProgram(const std::vector<std::string>& words, std::vector<std::string>* command) {
  if (words.empty()) return;
  if (!words.front().starts_with('/') && command->empty()) command->emplace_back("/usr/bin/env");
  command->insert(command->end(), words.begin(), words.end());
}

std::vector<std::string> CommandFor(const JobSection& job, const JobRequest& request) {
  std::vector<std::string> command;
  AppendProgram(job.launcher, &command);
  if (job.container) {
    AppendProgram(job.container->command, &command);
    std::vector<std::string> binds = job.container->binds;
    binds.push_back(request.directory);
    if (!request.state.empty()) binds.push_back(request.state);
    for (const std::string& path : request.paths) binds.push_back(path + ":" + path + ":ro");
    for (const std::string& bind : binds) {
      command.emplace_back("--bind");
      command.push_back(bind);
    }
    command.push_back(job.container->image);
  }
  AppendProgram(job.trainer, &command);
  command.emplace_back(TaskKindName(request.kind));
  command.emplace_back("--task");
  command.push_back(request.directory);
  return command;
}

std::string DaemonText(const ClientConfig& config, const std::string& site) {
  return site + "\n" + config.server + "\n" + config.state_dir;
}

// Its authority. Empty before a site has joined, when names are for previews.
std::string FederationText(const ClientConfig& config) {
  const auto authority = ReadFile(config.tls.ca);
  if (!authority.ok()) return "";
  const auto fingerprint = security::CertificateFingerprint(*authority);
  return fingerprint.ok() ? *fingerprint : "";
}

std::string PrefixOf(const std::string& text) {
  return "trib-" + Sha256Of(text).ToHex().substr(0, 8) + ".";
}

}  // namespace

std::string JobNamePrefix(const ClientConfig& config, const std::string& site) {
  return PrefixOf(DaemonText(config, site) + "\n" + FederationText(config));
}

std::string OldJobNamePrefix(const ClientConfig& config, const std::string& site) {
  return PrefixOf(DaemonText(config, site));
}

std::string JobName(const std::string& prefix, const std::string& task, std::int64_t attempt) {
  std::string readable = task.substr(0, std::min(kReadable, task.size()));
  std::replace(readable.begin(), readable.end(), '@', '_');  // no character of a job's name
  std::string name = prefix + readable + "." + Sha256Of(task).ToHex().substr(0, 12);
  if (attempt > 1) name += ".a" + std::to_string(attempt);
  return name;
}

scheduler_adapters::JobSpec MakeJob(const JobSection& job, const JobRequest& request) {
  scheduler_adapters::JobSpec spec;
  spec.name = request.name;
  spec.working_directory = request.directory;
  spec.command = CommandFor(job, request);
  spec.environment = job.environment;
  // A trainer that finds none of them says so at once (docs/trainer_contract.md).
  spec.environment.emplace("TRIBUTARY_GPUS", std::to_string(job.gpus));
  for (const std::string& module : job.modules) {
    spec.prologue.push_back("load_module " + scheduler_adapters::ShellQuote(module));
  }
  spec.prologue.insert(spec.prologue.end(), job.setup.begin(), job.setup.end());
  spec.stdout_path = request.directory + "/job.out";
  spec.stderr_path = request.directory + "/job.err";
  spec.cpus = job.cpus;
  spec.tasks = CountLaunched(job).tasks;
  spec.gpus = job.gpus;
  spec.nodes = job.nodes;
  spec.walltime = request.walltime;
  // srun kills its tasks on SIGTERM and others hand it on badly; all hand SIGUSR1 on.
  if (!job.launcher.empty()) spec.warning_signal = SIGUSR1;
  spec.warning_before =
      job.warning_before < spec.walltime ? job.warning_before : std::chrono::seconds(0);
  spec.queue = job.queue;
  spec.account = job.account;
  spec.directives = job.directives;
  return spec;
}

scheduler_adapters::JobSpec SampleJob(const ClientConfig& config, const std::string& kind) {
  JobRequest request;
  request.name = JobName(JobNamePrefix(config, "preview"), "example.r1.t1", 1);
  request.directory = config.workspace + "/example/example.r1.t1";
  request.state = config.workspace + "/example/state";
  request.kind = kind == "evaluate" ? TaskKind::kEvaluate : TaskKind::kTrain;
  const PolicySection policy = config.policy.value_or(PolicySection());
  request.walltime = policy.max_walltime;
  if (!policy.models.empty()) request.paths.push_back(policy.models.begin()->second);
  if (!policy.data.empty()) request.paths.push_back(policy.data.begin()->second);
  return MakeJob(config.job, request);
}

}  // namespace tributary::client

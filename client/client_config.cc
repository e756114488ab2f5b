#include "client/client_config.h"

#include <filesystem>

#include "core/files.h"

namespace tributary::client {

void TlsSection::Describe(ConfigVisitor& v) {
  v.Field("ca", &ca, {.doc = "certificate of the federation's authority"});
  v.Field("certificate", &certificate, {.doc = "this site's certificate, from enrollment"});
  v.Field("key", &key, {.doc = "its key, mode 0600; made here, never sent"});
}

void ContainerSection::Describe(ConfigVisitor& v) {
  v.Field("image", &image, {.doc = "its file or name", .required = true, .non_empty = true});
  v.Field("command", &command,
          {.doc = "the runtime and its options, put before the image", .non_empty = true});
  v.Field("binds", &binds, {.doc = "bound with --bind besides the task, its model and its data"});
}

void PilotSection::Describe(ConfigVisitor& v) {
  v.Field(
      "directory", &directory,
      {.doc = "where they meet the daemon, on a file system that jobs see; empty: .pilots in the "
              "workspace"});
  v.Field("walltime", &walltime, {.doc = "of a pilot's job; 0s: the queue's default", .min = 0});
  v.Field("idle_timeout", &idle_timeout,
          {.doc = "a pilot without a task for longer than this leaves", .min = 0});
  v.Field("successor_before", &successor_before,
          {.doc = "a busy pilot's successor is submitted so long before its end", .min = 0});
  v.Field(
      "max_pilots", &max_pilots,
      {.doc = "pilots at a time; each may have a successor in the queue", .min = 1, .max = 1000});
  v.Field("poll_interval", &poll_interval,
          {.doc = "of the pilots, for tasks", .min = 0, .max = 600});
}

void JobSection::Describe(ConfigVisitor& v) {
  v.Field("trainer", &trainer,
          {.doc = "argument vector; \"train --task DIR\" or \"evaluate --task DIR\" is appended",
           .required = true,
           .non_empty = true});
  v.Field("environment", &environment,
          {.doc = "all that a job sees besides what its scheduler "
                  "defines"});
  v.Field("modules", &modules, {.doc = "environment modules that are loaded first"});
  v.Field("inspect", &inspect,
          {.doc = "the trainer is asked on this machine what it would refuse of an offer"});
  v.Field("setup", &setup, {.doc = "shell lines that run after the modules"});
  v.Field("launcher", &launcher, {.doc = "argument vector put before the trainer"});
  v.Field("container", &container, {.doc = "the trainer runs in it"});
  v.Field("queue", &queue);
  v.Field("account", &account);
  v.Field("directives", &directives, {.doc = "further arguments of sbatch or qsub"});
  v.Field("cpus", &cpus, {.doc = "per node", .min = 1, .max = 4096});
  v.Field("gpus", &gpus, {.doc = "per node", .min = 0, .max = 1024});
  v.Field("nodes", &nodes, {.min = 1, .max = 100000});
  v.Field("max_concurrent", &max_concurrent, {.doc = "tasks at a time", .min = 1, .max = 1000});
  v.Field("warning_before", &warning_before,
          {.doc = "the trainer is told to stop this long before the walltime ends", .min = 0});
  v.Field("max_attempts", &max_attempts,
          {.doc = "jobs of one task, when the earlier ones lost their node", .min = 1, .max = 100});
  v.Field("stall_timeout", &stall_timeout,
          {.doc = "a job that makes no progress for so long is cancelled; 0s: never", .min = 0});
  v.Field("poll_interval", &poll_interval,
          {.doc = "of the scheduler; 0s: 20ms for local, 15s otherwise", .min = 0});
  v.Field("pilot", &pilot, {.doc = "tasks run inside jobs that stay"});
}

void DaemonJobSection::Describe(ConfigVisitor& v) {
  v.Field("queue", &queue);
  v.Field("account", &account);
  v.Field("directives", &directives, {.doc = "further arguments of sbatch or qsub"});
  v.Field("cpus", &cpus, {.doc = "of its one node", .min = 1, .max = 4096});
  v.Field("walltime", &walltime, {.doc = "of each of these jobs", .min = 60});
  v.Field("successor_before", &successor_before,
          {.doc = "the next one is submitted so long before the end of this one", .min = 1});
}

void AllocationSection::Describe(ConfigVisitor& v) {
  v.Field("unit", &unit,
          {.doc = "what is counted", .one_of = {"node-hours", "gpu-hours", "core-hours"}});
  v.Field("factor", &factor, {.doc = "service units: the unit times this", .min = 0});
  v.Field("per_campaign", &per_campaign, {.doc = "of one campaign; 0: no limit", .min = 0});
  v.Field("total", &total, {.doc = "of all campaigns together; 0: no limit", .min = 0});
}

void PolicySection::Describe(ConfigVisitor& v) {
  v.Field("campaigns", &campaigns,
          {.doc = "names allowed; a * at the end matches the rest", .required = true});
  v.Field("leads", &leads, {.doc = "who may lead them, likewise", .required = true});
  v.Field("models", &models, {.doc = "base models: name and directory here"});
  v.Field("data", &data, {.doc = "data: name and JSONL file here"});
  v.Field("metrics", &metrics, {.doc = "metrics that may leave, likewise"});
  v.Field("max_walltime", &max_walltime, {.doc = "of one job", .min = 1});
  v.Field("max_steps", &max_steps, {.doc = "of one task", .min = 1});
  v.Field("max_update", &max_update, {.doc = "largest update that may leave", .min = 1});
  v.Field("error_tail", &error_tail,
          {.doc = "characters of a failed job's error file that may leave", .min = 0, .max = 400});
}

void ClientConfig::Describe(ConfigVisitor& v) {
  v.Field("server", &server,
          {.doc = "host:port of the federation's server; this site dials out "
                  "and nothing else",
           .required = true,
           .non_empty = true});
  v.Field("server_name", &server_name,
          {.doc = "name in the server's certificate, where `server` is a tunnel or an alias"});
  v.Field("tls", &tls);
  v.Field("state_dir", &state_dir,
          {.doc = "the daemon's journal, on a local disk", .non_empty = true});
  v.Field("workspace", &workspace,
          {.doc = "task directories, on a file system that jobs see", .non_empty = true});
  v.Field("scheduler", &scheduler);
  v.Field("job", &job, {.required = true});
  v.Field("daemon_job", &daemon_job,
          {.doc = "the job that is the daemon itself, for `run --in-job`"});
  v.Field("allocation", &allocation);
  v.Field("policy", &policy,
          {.doc = "what this site allows; without it every campaign is "
                  "refused"});
  v.Field("log", &log);
}

namespace {

// A directory named "~" is one `rm -r ~` away from a lost home.
void CheckPath(ConfigProblems& problems, const std::string& section, const std::string& key,
               const std::string& path) {
  if (!path.starts_with('~') && path.find('$') == std::string::npos) return;
  const std::string problem = "\"" + path +
                              "\": ~ and $HOME are not expanded here; write the whole "
                              "path";
  if (section.empty()) return problems.Add(key, problem);
  problems.Add(section, key + ": " + problem);
}

}  // namespace

void ClientConfig::Check(ConfigProblems& problems) const {
  CheckPath(problems, "", "state_dir", state_dir);
  CheckPath(problems, "", "workspace", workspace);
  CheckPath(problems, "tls", "ca", tls.ca);
  CheckPath(problems, "tls", "certificate", tls.certificate);
  CheckPath(problems, "tls", "key", tls.key);
  CheckPath(problems, "log", "file", log.file);
  CheckPath(problems, "scheduler", "state_directory", scheduler.state_directory);
  CheckPath(problems, "scheduler", "command_directory", scheduler.command_directory);
  if (job.pilot) CheckPath(problems, "job.pilot", "directory", job.pilot->directory);
  if (job.container) CheckPath(problems, "job.container", "image", job.container->image);
  if (policy) {
    for (const auto& [name, path] : policy->models) {
      CheckPath(problems, "policy.models", name, path);
    }
    for (const auto& [name, path] : policy->data) CheckPath(problems, "policy.data", name, path);
  }
  if (!job.trainer.empty() && !job.trainer.front().starts_with('/')) {
    problems.Add("job", "trainer: \"" + job.trainer.front() + "\" is not an absolute path");
  }
  if (server.rfind(':') == std::string::npos) {
    problems.Add("server", "\"" + server + "\" has no port; must be host:port");
  }
  if (job.pilot && job.pilot->poll_interval.count() == 0) {
    problems.Add("job.pilot", "poll_interval: must be longer than 0s");
  }
  if (daemon_job && daemon_job->successor_before >= daemon_job->walltime) {
    problems.Add("daemon_job", "successor_before: must be shorter than walltime");
  }
  if (job.pilot && job.pilot->walltime.count() > 0 &&
      job.pilot->successor_before >= job.pilot->walltime) {
    problems.Add("job.pilot", "successor_before: must be shorter than the pilot's walltime");
  }
}

std::string DefaultPilotDirectory(const ClientConfig& config) {
  return JoinPath(config.workspace, ".pilots");
}

Result<ClientConfig> LoadClientConfig(const std::string& path) {
  ClientConfig config;
  TRIBUTARY_RETURN_IF_ERROR(LoadYamlFile(path, &config));
  std::error_code ignored;  // a relative path stays relative when there is no working directory
  const std::string base = std::filesystem::absolute(DirectoryOf(path), ignored).lexically_normal();
  const auto resolve = [&](std::string* name) {
    if (!name->empty()) *name = JoinPath(base, *name);
  };
  for (std::string* name :
       {&config.tls.ca, &config.tls.certificate, &config.tls.key, &config.state_dir,
        &config.workspace, &config.log.file, &config.scheduler.state_directory}) {
    resolve(name);
  }
  if (config.policy) {
    for (auto& [name, directory] : config.policy->models) resolve(&directory);
    for (auto& [name, file] : config.policy->data) resolve(&file);
  }
  if (config.scheduler.state_directory.empty()) {
    config.scheduler.state_directory = JoinPath(config.state_dir, "jobs");
  }
  config.scheduler.directives = config.job.directives;
  if (config.job.pilot) {
    resolve(&config.job.pilot->directory);
    if (config.job.pilot->directory.empty()) {
      config.job.pilot->directory = DefaultPilotDirectory(config);
    }
  }
  if (config.job.poll_interval.count() == 0) {
    config.job.poll_interval = config.scheduler.adapter == "local"
                                   ? std::chrono::milliseconds(20)
                                   : std::chrono::milliseconds(15000);
  }
  return config;
}

}  // namespace tributary::client

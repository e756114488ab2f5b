#include "client/trainer_command.h"

#include "core/files.h"
#include "core/user.h"
#include "scheduler_adapters/job_script.h"

namespace tributary::client {
namespace {

using scheduler_adapters::CommandResult;
using scheduler_adapters::CommandRunner;
using scheduler_adapters::ShellQuote;

constexpr std::size_t kMaxOutput = std::size_t{1} << 20;

// Bash, as the script of a job; a module that does not load is marked on standard error.
std::string ShellText(const JobSection& job, const std::string& directory,
                      const std::vector<std::string>& command) {
  std::string script = "#!/bin/bash\n";
  for (const auto& [name, value] : job.environment) {
    script += "export " + name + "=" + ShellQuote(value) + "\n";
  }
  for (const std::string& module : job.modules) {
    script += "module load " + ShellQuote(module) + " || printf '%s\\n' " +
              ShellQuote(std::string(kModuleMark) + module) + " >&2\n";
  }
  for (const std::string& line : job.setup) script += line + "\n";
  script += "cd " + ShellQuote(directory) + " || exit 1\nexec";
  for (const std::string& argument : command) script += " " + ShellQuote(argument);
  return script + "\n";
}

// What a batch system gives to a job of this user that inherits nothing.
std::vector<std::string> LoginVariables() {
  std::vector<std::string> variables = {"PATH=/usr/local/bin:/usr/bin:/bin"};
  const UserRecord user = CurrentUser();
  const auto add = [&](const char* name, const std::string& value) {
    if (!value.empty()) variables.push_back(name + value);
  };
  add("HOME=", user.home);
  add("USER=", user.name);
  add("LOGNAME=", user.name);
  add("SHELL=", user.shell);
  return variables;
}

// Inside the container, if there is one. A program by name is found by the job's PATH.
std::vector<std::string> InContainer(const JobSection& job, const std::vector<std::string>& words,
                                     const std::vector<std::string>& paths) {
  std::vector<std::string> command;
  if (job.container) {
    command.insert(command.end(), job.container->command.begin(), job.container->command.end());
    for (const std::string& bind : job.container->binds) {
      command.insert(command.end(), {"--bind", bind});
    }
    for (const std::string& path : paths) {
      command.insert(command.end(), {"--bind", path + ":" + path + ":ro"});
    }
    command.push_back(job.container->image);
  }
  command.insert(command.end(), words.begin(), words.end());
  if (!command.front().starts_with('/')) command.insert(command.begin(), "/usr/bin/env");
  return command;
}

}  // namespace

Result<CommandResult> RunLikeAJob(const ClientConfig& config, const std::vector<std::string>& words,
                                  const std::vector<std::string>& paths,
                                  std::chrono::seconds limit) {
  TRIBUTARY_ASSIGN_OR_RETURN(const auto scratch, TemporaryDirectory::Create("tributary-doctor-"));
  const std::string script = scratch.path() + "/run.sh";
  TRIBUTARY_RETURN_IF_ERROR(WriteFileAtomic(
      script, ShellText(config.job, scratch.path(), InContainer(config.job, words, paths)), 0700));
  std::vector<std::string> command = {"/usr/bin/env", "-i"};
  // A batch system starts a job's script from a login shell; local jobs get job.environment alone,
  // and a login shell for the site's own lines.
  const bool batch = config.scheduler.adapter != "local";
  if (batch) {
    const std::vector<std::string> variables = LoginVariables();
    command.insert(command.end(), variables.begin(), variables.end());
  }
  command.emplace_back("/bin/bash");
  if (batch || !config.job.modules.empty() || !config.job.setup.empty()) command.emplace_back("-l");
  command.push_back(script);
  CommandRunner runner({.timeout = limit,
                        .max_output = kMaxOutput,
                        .whole_tree = true,
                        .stop = config.scheduler.stop});
  return runner.Run(command);
}

}  // namespace tributary::client

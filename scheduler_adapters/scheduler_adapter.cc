#include "scheduler_adapters/scheduler_adapter.h"

#include <algorithm>
#include <array>
#include <functional>

#include "core/text.h"
#include "scheduler_adapters/batch_adapter.h"
#include "scheduler_adapters/local_adapter.h"

namespace tributary::scheduler_adapters {
namespace {

constexpr std::array<std::string_view, 11> kStateNames = {
    "queued",    "held",      "running",     "completed",     "failed", "cancelled",
    "timed out", "preempted", "node failed", "out of memory", "unknown"};

using MakeAdapter = Result<std::unique_ptr<SchedulerAdapter>> (*)(const SchedulerOptions&,
                                                                  const Clock&);
struct TableEntry {
  std::string_view name;
  MakeAdapter make;
};

Result<std::unique_ptr<SchedulerAdapter>> MakeSlurmAdapter(const SchedulerOptions& options,
                                                           const Clock& clock) {
  return BatchAdapter::Make(options, MakeSlurm(options), clock);
}
Result<std::unique_ptr<SchedulerAdapter>> MakePbsAdapter(const SchedulerOptions& options,
                                                         const Clock& clock) {
  return BatchAdapter::Make(options, MakePbs(options), clock);
}

constexpr std::array kTable = {TableEntry{"local", &MakeLocalSchedulerAdapter},
                               TableEntry{"slurm", &MakeSlurmAdapter},
                               TableEntry{"pbs", &MakePbsAdapter}};

bool IsJobNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '.' || c == '-';
}

bool IsAbsolutePath(std::string_view path) {
  return path.starts_with('/') && path.find('\0') == std::string_view::npos;
}

// What a shell can export.
bool IsVariableName(std::string_view name) {
  const auto letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  return !name.empty() && letter(name[0]) && std::all_of(name.begin(), name.end(), [&](char c) {
    return letter(c) || (c >= '0' && c <= '9');
  });
}

bool IsOneLine(std::string_view text) {
  return text.find_first_of(std::string_view("\n\r\0", 3)) == std::string_view::npos;
}

class SpecProblems {
 public:
  void Require(bool fine, std::string_view problem) {
    if (fine) return;
    text_.append(text_.empty() ? "" : "; ").append(problem);
  }
  Status Finish(const std::string& job) && {
    if (text_.empty()) return OkStatus();
    return InvalidArgumentError("job " + Excerpt(job, kMaxJobNameBytes) + ": " + text_);
  }

 private:
  std::string text_;
};

}  // namespace

std::string_view JobStateName(JobState state) {
  return kStateNames[static_cast<std::size_t>(state)];
}

bool IsTerminal(JobState state) {
  return state >= JobState::kCompleted && state <= JobState::kOutOfMemory;
}

Status CheckJobSpec(const JobSpec& spec) {
  SpecProblems problems;
  const bool named = !spec.name.empty() && spec.name.size() <= kMaxJobNameBytes &&
                     spec.name[0] != '.' &&
                     std::all_of(spec.name.begin(), spec.name.end(), IsJobNameCharacter);
  problems.Require(named, "the name must be 1 to 64 of A-Z, a-z, 0-9, _ . -, not starting with .");
  problems.Require(IsAbsolutePath(spec.working_directory),
                   "the working directory must be an absolute path");
  problems.Require(!spec.command.empty() && IsAbsolutePath(spec.command[0]),
                   "the command must start with an absolute path");
  for (const std::string& argument : spec.command) {
    problems.Require(argument.find('\0') == std::string::npos, "an argument has a zero byte");
  }
  for (const auto& [name, value] : spec.environment) {
    problems.Require(IsVariableName(name) && value.find('\0') == std::string::npos,
                     "environment variable \"" + Excerpt(name, 40) + "\" is not allowed");
  }
  for (const std::vector<std::string>* lines : {&spec.prologue, &spec.directives}) {
    for (const std::string& line : *lines) {
      problems.Require(IsOneLine(line), "\"" + Excerpt(line, 40) + "\" is not one line");
    }
  }
  problems.Require(IsOneLine(spec.queue) && IsOneLine(spec.account),
                   "queue and account must be one line");
  problems.Require(IsAbsolutePath(spec.stdout_path) && IsAbsolutePath(spec.stderr_path),
                   "stdout and stderr must be absolute paths");
  problems.Require(spec.cpus >= 1, "cpus must be at least 1");
  problems.Require(spec.gpus >= 0, "gpus must not be negative");
  problems.Require(spec.nodes >= 1, "nodes must be at least 1");
  problems.Require(spec.tasks >= 1, "tasks must be at least 1");
  problems.Require(spec.walltime.count() >= 0 && spec.warning_before.count() >= 0,
                   "walltime and warning must not be negative");
  problems.Require(spec.warning_before.count() == 0 || spec.warning_before < spec.walltime,
                   "the warning must come within the walltime");
  problems.Require(spec.warning_signal >= 1 && spec.warning_signal <= SIGRTMAX,
                   "the warning signal does not exist");
  return std::move(problems).Finish(spec.name);
}

void SchedulerOptions::Describe(ConfigVisitor& v) {
  v.Field("adapter", &adapter,
          {.doc = "the scheduler that runs jobs", .one_of = SchedulerAdapterNames()});
  v.Field("state_directory", &state_directory, {.doc = "where jobs are recorded"});
  v.Field("cancel_grace", &cancel_grace,
          {.doc = "from a cancelled job's SIGTERM to its SIGKILL", .min = 1, .max = 3600});
  v.Field("command_prefix", &command_prefix, {.doc = "put before each scheduler command"});
  v.Field("command_directory", &command_directory, {.doc = "where the scheduler's commands are"});
  v.Field("command_timeout", &command_timeout,
          {.doc = "time limit of one command", .min = 1, .max = 3600});
  v.Field("command_interval", &command_interval,
          {.doc = "from one command's start to the next's", .min = 0, .max = 60'000});
  v.Field("settle", &settle,
          {.doc = "how long a submission without an answer is looked for", .min = 0, .max = 86400});
  v.Field("requeue", &requeue, {.doc = "the scheduler may run a job again that lost its node"});
}

std::vector<std::string> SchedulerAdapterNames() {
  std::vector<std::string> names;
  names.reserve(kTable.size());
  for (const TableEntry& entry : kTable) names.emplace_back(entry.name);
  return names;
}

Result<std::unique_ptr<SchedulerAdapter>> MakeSchedulerAdapter(const SchedulerOptions& options,
                                                               const Clock& clock) {
  std::string known;
  for (const TableEntry& entry : kTable) {
    if (entry.name == options.adapter) return entry.make(options, clock);
    known.append(known.empty() ? "" : ", ").append(entry.name);
  }
  return InvalidArgumentError("scheduler.adapter: \"" + Excerpt(options.adapter) +
                              "\" is not known; must be one of " + known);
}

}  // namespace tributary::scheduler_adapters

#include "scheduler_adapters/slurm_system.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <utility>

#include "core/text.h"
#include "scheduler_adapters/scheduler_user.h"

namespace tributary::scheduler_adapters {
namespace {

// Beyond this many ids squeue lists all jobs of the user.
constexpr std::size_t kMaxSqueueIds = 200;
// In one argument of sacct.
constexpr std::size_t kMaxSacctIds = 1000;
// How far back accounting is searched for a name. Marks and the controller tell of jobs that ran or
// wait; this is for those that ended in the queue meanwhile.
constexpr std::string_view kNameHorizon = "now-7days";
constexpr std::int64_t kMaxWarningSeconds = 65535;

// sbatch replaces %j and the like in the names of output files.
std::string WithoutPatterns(std::string_view path) {
  std::string text;
  for (const char c : path) {
    text += c;
    if (c == '%') text += c;
  }
  return text;
}

std::string Joined(auto begin, auto end) {
  std::string text;
  for (; begin != end; ++begin) text += (text.empty() ? "" : ",") + *begin;
  return text;
}

bool HasControl(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

// What a #SBATCH line cannot hold: it has one line, and a backslash in the name of an output file
// changes what the name means.
Status CheckForSbatch(const JobSpec& spec) {
  for (const std::string* text : {&spec.working_directory, &spec.stdout_path, &spec.stderr_path,
                                  &spec.queue, &spec.account}) {
    if (HasControl(*text) || text->find('\\') != std::string::npos) {
      return InvalidArgumentError("job " + spec.name + ": \"" + Excerpt(*text) +
                                  "\" has a backslash or a control character, which sbatch "
                                  "cannot take");
    }
  }
  for (const std::string& directive : spec.directives) {
    if (HasControl(directive)) {
      return InvalidArgumentError("job " + spec.name + ": directive \"" + Excerpt(directive) +
                                  "\" must be one line without control characters");
    }
  }
  return OkStatus();
}

SbatchTrouble TroubleOf(const CommandResult& result) {
  // A signal, or a shell that found no sbatch, says nothing about the script.
  const bool by_sbatch =
      !result.timed_out && (result.exit_status < 126 || result.exit_status == 255);
  return by_sbatch ? SbatchTroubleIn(result.err) : SbatchTrouble::kUnreachable;
}

Status SbatchError(const CommandResult& result) {
  switch (TroubleOf(result)) {
    case SbatchTrouble::kRefused:
      return InvalidArgumentError("sbatch: " + result.Summary());
    case SbatchTrouble::kNotNow:
      return ResourceExhaustedError("refused for now: sbatch: " + result.Summary());
    case SbatchTrouble::kUnreachable:
      break;
  }
  return UnavailableError("sbatch: " + result.Summary());
}

// The time of all incarnations: the controller's for the last, accounting's for those before.
std::chrono::seconds WholeElapsed(const JobStatus& last, const SacctJob& record) {
  const bool has_last = record.status.submitted >= last.submitted;
  return last.usage.elapsed + record.status.usage.elapsed -
         (has_last ? record.last_elapsed : std::chrono::seconds(0));
}

bool LessById(const std::string& a, const std::string& b) {
  return std::pair(a.size(), std::string_view(a)) < std::pair(b.size(), std::string_view(b));
}

std::string ChosenCluster(const SchedulerOptions& options) {
  std::string cluster = ClusterIn(options.directives);
  const char* variable = std::getenv("SLURM_CLUSTERS");
  if (cluster.empty() && variable != nullptr) cluster = variable;
  return cluster;
}

struct IdParts {
  explicit IdParts(const std::string& id) : number(id.substr(0, id.find(';'))) {
    if (number.size() < id.size()) cluster = id.substr(number.size() + 1);
  }
  std::string number, cluster;
};

std::string IdOf(const std::string& number, const std::string& cluster) {
  return cluster.empty() ? number : number + ";" + cluster;
}

// Where the command is to look.
void Append(const std::string& cluster, std::vector<std::string>* command) {
  if (!cluster.empty()) command->insert(command->end(), {"-M", cluster});
}

}  // namespace

SlurmSystem::SlurmSystem(const SchedulerOptions& options)
    : runner_(RunnerOptions(options)), options_(options), cluster_(ChosenCluster(options)) {}

bool SlurmSystem::IsJobId(std::string_view id) const { return IsSlurmJobId(id); }

const std::string& SlurmSystem::User() {
  if (!user_) user_ = SchedulerUser(options_);
  return *user_;
}

// One that can be written down, for the cluster that jobs are looked for at.
Status SlurmSystem::CheckSpec(const JobSpec& spec) const {
  TRIBUTARY_RETURN_IF_ERROR(CheckForSbatch(spec));
  const std::string cluster = ClusterIn(spec.directives);
  if (!cluster.empty() && cluster != cluster_) {
    return InvalidArgumentError("job " + spec.name + ": a directive chooses the cluster \"" +
                                Excerpt(cluster) + "\", but jobs are looked for at \"" +
                                Excerpt(cluster_) + "\"");
  }
  if (!cluster_.empty() && !IsSlurmJobId("1;" + cluster_)) {
    return InvalidArgumentError("job " + spec.name + ": clusters \"" + Excerpt(cluster_) +
                                "\": must be the name of one cluster");
  }
  return OkStatus();
}

ScriptHead SlurmSystem::HeadFor(const JobSpec& spec) const {
  ScriptHead head;
  head.job_id_variable = "SLURM_JOB_ID";
  if (!cluster_.empty()) head.job_id_suffix = ";" + cluster_;
  // What --export=NONE leaves behind would keep srun from handing the job's environment on.
  head.opening = {"unset SLURM_EXPORT_ENV",
                  // Since 22.05 srun gives each task one CPU, unless it is told here.
                  "export SRUN_CPUS_PER_TASK=\"${SLURM_CPUS_PER_TASK:-1}\""};
  const auto add = [&](const std::string& option) {
    head.directives.push_back("#SBATCH " + option);
  };
  add("--job-name=" + SbatchQuote(spec.name));
  add("--chdir=" + SbatchQuote(spec.working_directory));
  add("--output=" + SbatchQuote(WithoutPatterns(spec.stdout_path)));
  add("--error=" + SbatchQuote(WithoutPatterns(spec.stderr_path)));
  add("--open-mode=append");
  add("--export=NONE");
  add("--nodes=" + std::to_string(spec.nodes));
  add("--ntasks-per-node=" + std::to_string(spec.tasks));
  add("--cpus-per-task=" + std::to_string(std::max<std::int64_t>(1, spec.cpus / spec.tasks)));
  if (spec.gpus > 0) add("--gpus-per-node=" + std::to_string(spec.gpus));
  if (spec.walltime.count() > 0) {
    add("--time=" + std::to_string(std::chrono::ceil<std::chrono::minutes>(spec.walltime).count()));
  }
  if (spec.warning_before.count() > 0) {
    add("--signal=B:USR1@" +
        std::to_string(std::min<std::int64_t>(spec.warning_before.count(), kMaxWarningSeconds)));
  }
  if (!spec.queue.empty()) add("--partition=" + SbatchQuote(spec.queue));
  if (!spec.account.empty()) add("--account=" + SbatchQuote(spec.account));
  add(options_.requeue ? "--requeue" : "--no-requeue");
  for (const std::string& directive : spec.directives) add(directive);  // the last one counts
  return head;
}

Result<CommandResult> SlurmSystem::Run(const std::vector<std::string>& command,
                                       const CommandRunner::Sink& sink) {
  auto result = runner_.Run(command, sink);
  if (!result.ok()) return UnavailableError(result.status().message());
  return result;
}

Result<std::vector<std::string>> SlurmSystem::SubmitScript(const JobSpec& spec,
                                                           const std::string& script_path) {
  TRIBUTARY_RETURN_IF_ERROR(CheckSpec(spec));
  TRIBUTARY_ASSIGN_OR_RETURN(const CommandResult result,
                             Run({"sbatch", "--parsable", script_path}));
  if (!result.ok()) return SbatchError(result);
  std::vector<std::string> ids = ParseSubmittedIds(result.out);
  if (ids.empty()) {
    return UnavailableError("sbatch gave no job id: " + Excerpt(result.out + result.err));
  }
  return ids;
}

Result<std::optional<std::string>> SlurmSystem::NameOf(const std::string& id) {
  const IdParts parts(id);
  std::optional<std::string> name;
  TRIBUTARY_RETURN_IF_ERROR(
      ReadSqueue(parts.cluster, {"-j", parts.number}, [&](const SqueueJob& job) {
        if (job.status.id == parts.number) name = job.name;
      }));
  return name;
}

Status SlurmSystem::ReadSqueue(const std::string& cluster, const std::vector<std::string>& filter,
                               const OnSqueueJob& on_job) {
  std::vector<std::string> command = {"squeue", "-h",  "-a", "--me",
                                      "-t",     "all", "-O", SqueueColumns()};
  Append(cluster, &command);
  command.insert(command.end(), filter.begin(), filter.end());
  LineSplitter lines([&](std::string_view line) {
    if (const auto job = ParseSqueueLine(line)) on_job(*job);
  });
  TRIBUTARY_ASSIGN_OR_RETURN(const CommandResult result,
                             Run(command, [&](std::string_view piece) { lines.Feed(piece); }));
  lines.Finish();
  // So it answers for one id; for several that it does not know, with an empty table.
  if (result.ok() || (!result.timed_out && SaysUnknownJob(result.err))) return OkStatus();
  return UnavailableError("squeue: " + result.Summary());
}

Result<SacctJobs> SlurmSystem::ReadSacct(const std::string& cluster,
                                         const std::vector<std::string>& filter) {
  SacctJobs jobs;
  if (!accounting_) return jobs;
  std::vector<std::string> command = {
      "sacct", "-X", "-n", "-P", "-D", "-o", std::string(kSacctColumns)};
  // Administrators and coordinators would see everybody's.
  if (!User().empty()) command.insert(command.end(), {"-u", User()});
  Append(cluster, &command);
  command.insert(command.end(), filter.begin(), filter.end());
  LineSplitter lines([&](std::string_view line) {
    if (const auto job = ParseSacctLine(line)) jobs.Add(*job);
  });
  auto result = runner_.Run(command, [&](std::string_view piece) { lines.Feed(piece); });
  if (result.status().code() == StatusCode::kNotFound) return jobs;  // no such program here
  if (!result.ok()) return UnavailableError(result.status().message());
  lines.Finish();
  constexpr int kShellFoundNothing = 127;
  if (result->ok() || result->exit_status == kShellFoundNothing) return jobs;
  if (result->err.find("accounting storage is disabled") != std::string::npos) {
    accounting_ = false;
    return jobs;
  }
  return UnavailableError("sacct: " + result->Summary());
}

Result<SacctJobs> SlurmSystem::RecordsOf(const std::string& cluster,
                                         const std::set<std::string>& numbers) {
  SacctJobs jobs;
  for (auto begin = numbers.begin(); begin != numbers.end();) {
    auto end = begin;
    for (std::size_t count = 0; end != numbers.end() && count < kMaxSacctIds; ++count) ++end;
    TRIBUTARY_ASSIGN_OR_RETURN(const SacctJobs part,
                               ReadSacct(cluster, {"-j", Joined(begin, end)}));
    for (const auto& [id, job] : part.jobs()) jobs.Add(job);
    begin = end;
  }
  return jobs;
}

Result<std::map<std::string, JobStatus>> SlurmSystem::List(std::span<const std::string> ids) {
  std::map<std::string, std::set<std::string>> wanted;  // numbers by cluster
  for (const std::string& id : ids) {
    const IdParts parts(id);
    wanted[parts.cluster].insert(parts.number);
  }
  Statuses found;
  Status trouble;
  for (const auto& [cluster, numbers] : wanted) {
    auto there = ListOn(cluster, numbers);
    if (!there.ok()) trouble = there.status();
    for (const std::string& number : numbers) {
      const std::string id = IdOf(number, cluster);
      if (!there.ok()) {
        found[id].message = Excerpt(trouble.message(), kMaxJobMessageBytes);
      } else if (const auto job = there->find(number); job != there->end()) {
        found[id] = std::move(job->second);
      } else {
        continue;
      }
      found[id].id = id;
    }
  }
  if (wanted.size() == 1 && !trouble.ok()) return trouble;
  return found;
}

Result<SlurmSystem::Statuses> SlurmSystem::ListOn(const std::string& cluster,
                                                  const std::set<std::string>& wanted) {
  Statuses found;
  std::vector<std::string> filter;
  if (wanted.size() <= kMaxSqueueIds) filter = {"-j", Joined(wanted.begin(), wanted.end())};
  TRIBUTARY_RETURN_IF_ERROR(ReadSqueue(cluster, filter, [&](const SqueueJob& job) {
    if (wanted.contains(job.status.id)) found[job.status.id] = job.status;
  }));

  std::set<std::string> ask;  // what squeue forgot, and the earlier incarnations of what it did not
  for (const std::string& id : wanted) {
    const auto job = found.find(id);
    if (job == found.end() || (IsTerminal(job->second.state) && job->second.restarts > 0)) {
      ask.insert(id);
    }
  }
  const Result<SacctJobs> recorded = RecordsOf(cluster, ask);
  for (const std::string& id : ask) {
    const auto job = found.find(id);
    if (!recorded.ok()) {
      if (job != found.end()) continue;
      JobStatus& unknown = found[id];
      unknown.id = id;
      unknown.message = Excerpt(recorded.status().message(), kMaxJobMessageBytes);
      continue;
    }
    const auto record = recorded->jobs().find(id);
    if (record == recorded->jobs().end()) continue;
    const JobStatus& status = record->second.status;
    if (job != found.end()) {
      job->second.usage.elapsed = WholeElapsed(job->second, record->second);
      job->second.usage.all_runs = true;
    } else if (IsTerminal(status.state)) {
      found[id] = status;
      found[id].usage.all_runs = true;
    }
    // Otherwise accounting has not heard of the end of a job that the controller has forgotten.
  }
  return found;
}

Result<std::vector<std::string>> SlurmSystem::FindByName(std::string_view name, bool with_history) {
  const std::string text(name);
  std::set<std::string> numbers;
  TRIBUTARY_RETURN_IF_ERROR(ReadSqueue(cluster_, {"-n", text}, [&](const SqueueJob& job) {
    if (job.name != name || (!with_history && IsTerminal(job.status.state))) return;
    numbers.insert(job.status.id);
  }));
  if (with_history) {
    TRIBUTARY_ASSIGN_OR_RETURN(
        const SacctJobs recorded,
        ReadSacct(cluster_, {"--name=" + text, "-S", std::string(kNameHorizon)}));
    for (const auto& [number, job] : recorded.jobs()) {
      if (job.name == name) numbers.insert(number);
    }
  }
  std::vector<std::string> sorted(numbers.begin(), numbers.end());
  std::sort(sorted.begin(), sorted.end(), LessById);
  for (std::string& id : sorted) id = IdOf(id, cluster_);
  return sorted;
}

Result<std::vector<NamedJob>> SlurmSystem::ListLive(std::string_view name_prefix) {
  std::vector<NamedJob> jobs;
  TRIBUTARY_RETURN_IF_ERROR(ReadSqueue(cluster_, {}, [&](const SqueueJob& job) {
    if (job.name.starts_with(name_prefix) && !IsTerminal(job.status.state)) {
      jobs.push_back({job.name, IdOf(job.status.id, cluster_)});
    }
  }));
  return jobs;
}

Status SlurmSystem::CancelJob(const std::string& id) {
  const IdParts parts(id);
  std::vector<std::string> command = {"scancel"};
  Append(parts.cluster, &command);
  command.push_back(parts.number);
  TRIBUTARY_ASSIGN_OR_RETURN(const CommandResult result, Run(command));
  if (result.ok()) return OkStatus();  // also for jobs that ended or never were
  if (!result.timed_out && SaysUnknownJob(result.err)) {
    return NotFoundError("job " + id + " is not known");
  }
  if (!result.timed_out && result.err.find("already completing") != std::string::npos) {
    return OkStatus();
  }
  return UnavailableError("scancel: " + result.Summary());
}

Result<std::optional<Timestamp>> SlurmSystem::EstimateQueued(const std::string& id) {
  const IdParts parts(id);
  std::optional<Timestamp> start;
  TRIBUTARY_RETURN_IF_ERROR(
      ReadSqueue(parts.cluster, {"-j", parts.number}, [&](const SqueueJob& job) {
        if (job.status.id == parts.number) start = job.expected_start;
      }));
  return start;
}

Result<CommandResult> SlurmSystem::TestOnly(const JobSpec& spec, const std::string& script_path) {
  TRIBUTARY_RETURN_IF_ERROR(CheckSpec(spec));
  return Run({"sbatch", "--test-only", script_path});
}

Result<std::optional<Timestamp>> SlurmSystem::EstimateNew(const JobSpec& spec,
                                                          const std::string& script_path) {
  TRIBUTARY_ASSIGN_OR_RETURN(const CommandResult result, TestOnly(spec, script_path));
  if (!result.ok() && TroubleOf(result) == SbatchTrouble::kNotNow) {
    return std::optional<Timestamp>();
  }
  if (!result.ok()) return SbatchError(result);
  return ParseTestOnlyStart(result.err);
}

Status SlurmSystem::CheckAccepted(const JobSpec& spec, const std::string& script_path) {
  TRIBUTARY_ASSIGN_OR_RETURN(const CommandResult result, TestOnly(spec, script_path));
  return result.ok() ? OkStatus() : SbatchError(result);
}

Result<std::string> SlurmSystem::Version() {
  // The version is compiled into the command; only a ping asks the controller.
  std::vector<std::string> command = {"scontrol"};
  Append(cluster_, &command);
  command.emplace_back("ping");
  TRIBUTARY_ASSIGN_OR_RETURN(const CommandResult ping, Run(command));
  if (ping.timed_out || !SomeControllerIsUp(ping.out)) {
    return UnavailableError("scontrol ping: " + ping.Summary());
  }
  TRIBUTARY_ASSIGN_OR_RETURN(const CommandResult result, Run({"scontrol", "version"}));
  const auto version = ParseSlurmVersion(result.out);
  if (!result.ok() || !version) return UnavailableError("scontrol version: " + result.Summary());
  return "slurm " + *version;
}

std::unique_ptr<BatchSystem> MakeSlurm(const SchedulerOptions& options) {
  return std::make_unique<SlurmSystem>(options);
}

}  // namespace tributary::scheduler_adapters

#include "scheduler_adapters/pbs_system.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <set>

#include "core/text.h"
#include "scheduler_adapters/pbs_site.h"
#include "scheduler_adapters/pbs_text.h"
#include "scheduler_adapters/scheduler_user.h"

namespace tributary::scheduler_adapters {
namespace {

// The last byte of PBS's error numbers, as exit statuses of its commands.
constexpr int kFinished = 35;   // qstat without -x, qdel
constexpr int kNoHistory = 36;  // qstat -x, qselect -x
constexpr int kUnknownJob = 153;
constexpr int kBadState = 168;      // qdel of a job that is exiting
constexpr int kIllFormedId = 1;     // also of a server that is not this one
constexpr int kUnknownQueue = 170;  // an id that looks like a queue

// qstat asks the server for each id in turn, so that a listing of everything is soon cheaper.
constexpr std::size_t kMaxIdsPerCommand = 100;
// Where it answers for the first id only.
constexpr std::size_t kFewIds = 3;

Status NoAnswer(std::string_view command, const CommandResult& result) {
  return UnavailableError(std::string(command) + ": " + result.Summary());
}

bool SaysNoHistory(const CommandResult& result) {
  return result.exit_status == kNoHistory ||
         result.err.find("not configured to maintain job history") != std::string::npos;
}

std::string CheckName(const JobSpec& spec) { return spec.name + ".check"; }

JobStatus Unknown(const std::string& id, const Status& why) {
  JobStatus status;
  status.id = id;
  status.message = Excerpt(why.message(), kMaxJobMessageBytes);
  return status;
}

std::vector<std::string> IdsIn(std::string_view text) {
  std::vector<std::string> ids;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    if (IsPbsJobId(text.substr(0, end))) ids.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return ids;
}

std::uint64_t NumberOf(const std::string& id) {
  std::uint64_t number = 0;
  std::from_chars(id.data(), id.data() + id.size(), number);
  return number;
}

std::string_view TextOf(const PbsAttributes& attributes, std::string_view name) {
  const auto found = attributes.find(name);
  return found == attributes.end() ? std::string_view() : std::string_view(found->second);
}

// The wanted ids by their numbers, for listings of many jobs of others.
class WantedIds {
 public:
  explicit WantedIds(std::span<const std::string> ids) {
    for (const std::string& id : ids) ids_.emplace(id.substr(0, id.find('.')), id);
  }
  // The wanted id that this one of a listing stands for, or null.
  const std::string* Find(std::string_view listed) const {
    const auto [begin, end] = ids_.equal_range(listed.substr(0, listed.find('.')));
    for (auto id = begin; id != end; ++id) {
      if (IsSamePbsJob(id->second, listed)) return &id->second;
    }
    return nullptr;
  }

 private:
  std::multimap<std::string, std::string, std::less<>> ids_;
};

}  // namespace

// What one run of qstat said besides the jobs that it handed out.
struct PbsSystem::Listing {
  CommandResult result;
  bool damaged = false;
  std::vector<std::string> unreadable;  // wanted jobs

  bool Answers() const {
    const int status = result.exit_status;
    return !result.timed_out && (status == 0 || status == kFinished || status == kUnknownJob);
  }
  Status Failure() const { return NoAnswer("qstat", result); }
  bool RefusesId() const {
    return !result.timed_out &&
           (result.exit_status == kIllFormedId || result.exit_status == kUnknownQueue);
  }
};

PbsSystem::PbsSystem(const SchedulerOptions& options)
    : runner_(RunnerOptions(options)), options_(options), requeue_(options.requeue) {}

bool PbsSystem::IsJobId(std::string_view id) const { return IsPbsJobId(id); }

Result<CommandResult> PbsSystem::Run(const std::vector<std::string>& command) {
  auto result = runner_.Run(command);
  if (!result.ok()) return UnavailableError(result.status().message());
  return result;
}

ScriptHead PbsSystem::HeadFor(const JobSpec& spec) const {
  auto lines = PbsDirectives(spec, requeue_);  // SubmitScript refuses a spec that has none
  return {.directives = lines.ok() ? *std::move(lines) : std::vector<std::string>(),
          .job_id_variable = "PBS_JOBID",
          .own_timer = true};
}

const std::string& PbsSystem::User() {
  if (!user_) user_ = SchedulerUser(options_);
  return *user_;
}

bool PbsSystem::IsOurs(const PbsAttributes& job) {
  const std::string_view owner = TextOf(job, "Job_Owner");
  return User().empty() || owner.substr(0, owner.find('@')) == User();
}

Result<std::vector<std::string>> PbsSystem::Qsub(const JobSpec& spec,
                                                 const std::vector<std::string>& command) {
  TRIBUTARY_RETURN_IF_ERROR(PbsDirectives(spec, requeue_).status());
  TRIBUTARY_ASSIGN_OR_RETURN(const CommandResult result, Run(command));
  if (result.ok()) {
    if (auto ids = ParseQsubAnswer(result.out); !ids.empty()) return ids;
    return UnavailableError("qsub printed no job id: " + Excerpt(result.out, kMaxJobMessageBytes));
  }
  if (!result.timed_out && IsQsubNotNow(result.exit_status, result.err)) {
    return ResourceExhaustedError("refused for now: " + NoAnswer("qsub", result).message());
  }
  if (!result.timed_out && IsQsubRefusal(result.exit_status, result.err)) {
    return InvalidArgumentError(NoAnswer("qsub", result).message());
  }
  return NoAnswer("qsub", result);
}

Result<std::vector<std::string>> PbsSystem::SubmitScript(const JobSpec& spec,
                                                         const std::string& script_path) {
  return Qsub(spec, {"qsub", script_path});
}

Result<std::optional<std::string>> PbsSystem::NameOf(const std::string& id) {
  std::optional<PbsAttributes> job;
  const auto is_wanted = [&](std::string_view listed) { return IsSamePbsJob(id, listed); };
  const auto take = [&](std::string_view, PbsAttributes found) { job = std::move(found); };
  TRIBUTARY_ASSIGN_OR_RETURN(const Listing listing, Qstat({id}, is_wanted, take));
  if (listing.RefusesId()) return InvalidArgumentError(listing.Failure().message());
  if (!listing.Answers()) return listing.Failure();
  if (listing.damaged || (!job && listing.result.exit_status == 0)) {
    TRIBUTARY_ASSIGN_OR_RETURN(job, AskForText(id));
  }
  if (!job || !IsOurs(*job)) return std::optional<std::string>();
  return std::optional(std::string(TextOf(*job, "Job_Name")));
}

Status PbsSystem::CheckAccepted(const JobSpec& spec, const std::string& script_path) {
  const std::string name = CheckName(spec);
  Status accepted = Qsub(spec, {"qsub", "-h", "-N", name, script_path}).status();
  if (!accepted.ok() && accepted.code() != StatusCode::kUnavailable) return accepted;
  const Status deleted = DeleteChecks(name);
  if (!accepted.ok()) return accepted;
  TRIBUTARY_RETURN_IF_ERROR(deleted);
  return CheckRuns(spec);
}

// PBS takes jobs that it will never run. What it does not say is no reason.
Status PbsSystem::CheckRuns(const JobSpec& spec) {
  std::string queue = spec.queue;
  if (queue.empty()) {
    const auto server = Run({"qstat", "-B", "-f"});
    if (server.ok() && server->ok()) queue = DefaultPbsQueue(server->out);
  }
  if (!queue.empty()) {
    const auto said = Run({"qstat", "-Q", "-f", queue});
    if (said.ok() && said->ok() && !ParsePbsQueue(said->out).started) {
      return FailedPreconditionError("queue " + Excerpt(queue) +
                                     " takes jobs, but it is stopped and runs none (started = "
                                     "False)");
    }
  }
  if (ChoosesNodes(spec)) return OkStatus();
  const auto said = Run({"pbsnodes", "-a", "-F", "json"});
  if (!said.ok() || !said->ok()) return OkStatus();
  const auto hosts = ParsePbsNodes(said->out);
  return hosts.ok() && !hosts->empty() ? CheckPbsHosts(*hosts, spec) : OkStatus();
}

// By name, so that none stays of a qsub whose answer was lost, now or earlier.
Status PbsSystem::DeleteChecks(const std::string& name) {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<std::string> ids,
                             Qselect(name, /*with_history=*/false));
  for (const std::string& id : ids) {
    TRIBUTARY_ASSIGN_OR_RETURN(const auto called, NameOf(id));
    if (called != name) continue;
    const Status status = CancelJob(id);
    if (status.ok() || status.code() == StatusCode::kNotFound) continue;
    return status.Annotate("job " + id + " was a check and stays on hold");
  }
  return OkStatus();
}

Status PbsSystem::CancelJob(const std::string& id) {
  TRIBUTARY_ASSIGN_OR_RETURN(const CommandResult result, Run({"qdel", id}));
  if (result.ok()) return OkStatus();
  if (result.timed_out) return NoAnswer("qdel", result);
  switch (result.exit_status) {
    case kFinished:
    case kBadState:
      return OkStatus();
    case kUnknownJob:
      return NotFoundError("job " + id + " is not known");
    default:
      return NoAnswer("qdel", result);
  }
}

Result<PbsSystem::Listing> PbsSystem::Qstat(const std::vector<std::string>& arguments,
                                            const PbsListingSplitter::Wanted& wanted,
                                            const TakeJob& take) {
  Listing listing;
  PbsListingSplitter splitter(wanted, [&](std::string_view id, std::string_view text) {
    auto job = ParsePbsJob(text);
    if (job.ok()) {
      take(id, *std::move(job));
    } else {
      listing.unreadable.emplace_back(id);
    }
  });
  std::vector<std::string> command = {"qstat", "-f", "-F", "json"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  auto result = runner_.Run(command, [&](std::string_view piece) { splitter.Feed(piece); });
  if (!result.ok()) return UnavailableError(result.status().message());
  splitter.Finish();
  listing.damaged = splitter.damaged();
  listing.result = *std::move(result);
  return listing;
}

Result<PbsSystem::Listing> PbsSystem::QstatWithHistory(const std::vector<std::string>& ids,
                                                       const PbsListingSplitter::Wanted& wanted,
                                                       const TakeJob& take) {
  if (keeps_history_) {
    std::vector<std::string> arguments = {"-x"};
    arguments.insert(arguments.end(), ids.begin(), ids.end());
    TRIBUTARY_ASSIGN_OR_RETURN(Listing listing, Qstat(arguments, wanted, take));
    if (!SaysNoHistory(listing.result)) return listing;
    keeps_history_ = false;
  }
  return Qstat(ids, wanted, take);
}

Result<std::map<std::string, JobStatus>> PbsSystem::List(std::span<const std::string> ids) {
  Statuses said;
  if (ids.size() > 1) TRIBUTARY_RETURN_IF_ERROR(ListTogether(ids, &said));
  const bool first_only = said.size() == 1 && said.contains(ids[0]);
  std::size_t asked = 0, learnt = said.size();
  Status down = OkStatus();
  for (const std::string& id : ids) {
    if (said.contains(id)) continue;
    if (!down.ok() || ++asked > kMostSingly) {
      said[id] = Unknown(id, down.ok() ? UnavailableError("it is asked for next time") : down);
      continue;
    }
    const auto job = Ask(id);
    if (!job.ok()) {
      said[id] = Unknown(id, job.status());
      if (job.status().code() == StatusCode::kUnavailable) down = job.status();
      continue;
    }
    ++learnt;
    if (!*job) continue;
    said[id] = PbsJobStatus(id, **job);
    if (first_only) lists_first_only_ = true;
  }
  if (learnt == 0 && !down.ok()) return down;
  return said;
}

// As many of the jobs as few commands tell.
Status PbsSystem::ListTogether(std::span<const std::string> ids, Statuses* said) {
  if (lists_first_only_ && ids.size() <= kFewIds) return OkStatus();
  if (lists_first_only_ || ids.size() > kMaxIdsPerCommand) return ListAll(ids, said);
  Statuses found;
  TRIBUTARY_ASSIGN_OR_RETURN(const Listing listing,
                             ListWanted(ids, {ids.begin(), ids.end()}, &found));
  if (listing.RefusesId()) return OkStatus();  // one of the ids; each is asked for alone
  if (!listing.Answers()) return listing.Failure();
  if (!listing.damaged) said->merge(found);
  return OkStatus();
}

Status PbsSystem::ListAll(std::span<const std::string> ids, Statuses* said) {
  Statuses found;
  TRIBUTARY_ASSIGN_OR_RETURN(const Listing listing, ListWanted(ids, {}, &found));
  if (!listing.Answers()) return listing.Failure();
  if (listing.damaged) return OkStatus();
  for (auto& [id, status] : found) {
    // An end does not change any more, so it is not taken from among the words of others.
    if (!IsTerminal(status.state)) said->insert_or_assign(id, std::move(status));
  }
  return OkStatus();
}

Result<PbsSystem::Listing> PbsSystem::ListWanted(std::span<const std::string> ids,
                                                 const std::vector<std::string>& arguments,
                                                 Statuses* found) {
  const WantedIds wanted(ids);
  std::set<std::string> twice;
  const auto is_wanted = [&](std::string_view id) { return wanted.Find(id) != nullptr; };
  const auto take = [&](std::string_view listed, const PbsAttributes& job) {
    const std::string& id = *wanted.Find(listed);
    if (!found->try_emplace(id, PbsJobStatus(id, job)).second) twice.insert(id);
  };
  auto listing = arguments.empty() ? Qstat(arguments, is_wanted, take)
                                   : QstatWithHistory(arguments, is_wanted, take);
  for (const std::string& id : twice) found->erase(id);  // one of them is not what it says
  return listing;
}

Result<std::optional<PbsAttributes>> PbsSystem::Ask(const std::string& id) {
  std::optional<PbsAttributes> found;
  const auto is_wanted = [&](std::string_view listed) { return IsSamePbsJob(id, listed); };
  const auto take = [&](std::string_view, PbsAttributes job) { found = std::move(job); };
  TRIBUTARY_ASSIGN_OR_RETURN(Listing listing, QstatWithHistory({id}, is_wanted, take));
  if (listing.Answers() && listing.result.exit_status == kFinished && !keeps_history_) {
    keeps_history_ = true;  // since lately
    TRIBUTARY_ASSIGN_OR_RETURN(listing, QstatWithHistory({id}, is_wanted, take));
  }
  if (listing.RefusesId()) return InvalidArgumentError(listing.Failure().message());
  if (!listing.Answers()) return listing.Failure();
  if (found && !listing.damaged) return found;
  if (listing.result.exit_status == kUnknownJob) return std::optional<PbsAttributes>();
  return AskForText(id);
}

// For a job whose JSON nobody can read.
Result<std::optional<PbsAttributes>> PbsSystem::AskForText(const std::string& id) {
  std::vector<std::string> command = {"qstat", "-f", "-w", id};
  if (keeps_history_) command.insert(command.begin() + 1, "-x");
  TRIBUTARY_ASSIGN_OR_RETURN(const CommandResult result, Run(command));
  if (!result.timed_out && result.exit_status == kUnknownJob) return std::optional<PbsAttributes>();
  if (!result.ok()) return NoAnswer("qstat", result);
  auto job = ParseQstatText(result.out);
  // A server may hide a job without saying that there is none.
  if (!job.ok()) return InvalidArgumentError("job " + id + ": " + job.status().message());
  return std::optional(*std::move(job));
}

Result<std::vector<NamedJob>> PbsSystem::ListLive(std::string_view name_prefix) {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<std::string> ids,
                             Qselect("", /*with_history=*/false));
  std::map<std::string, std::string> names;
  if (ids.size() > kMostSingly) {
    TRIBUTARY_ASSIGN_OR_RETURN(names, NamesAmongAll(ids));
  }
  std::vector<NamedJob> jobs;
  for (const std::string& id : ids) {
    const auto known = names.find(id);
    auto name =
        known == names.end() ? NameOf(id) : Result<std::optional<std::string>>(known->second);
    if (name.status().code() == StatusCode::kInvalidArgument) continue;  // PBS itself hides it
    if (!name.ok()) return name.status();
    if (*name && (*name)->starts_with(name_prefix)) jobs.push_back({**std::move(name), id});
  }
  return jobs;
}

Result<std::map<std::string, std::string>> PbsSystem::NamesAmongAll(
    const std::vector<std::string>& ids) {
  const WantedIds wanted(ids);
  std::map<std::string, std::string> names;
  std::set<std::string> doubtful;
  const auto is_wanted = [&](std::string_view id) { return wanted.Find(id) != nullptr; };
  const auto take = [&](std::string_view listed, const PbsAttributes& job) {
    const std::string& id = *wanted.Find(listed);
    const bool first = names.try_emplace(id, TextOf(job, "Job_Name")).second;
    if (!first || !IsOurs(job)) doubtful.insert(id);
  };
  TRIBUTARY_ASSIGN_OR_RETURN(const Listing listing, Qstat({}, is_wanted, take));
  if (!listing.Answers()) return listing.Failure();
  if (listing.damaged && User().empty()) {
    return UnavailableError("the listing of all jobs is damaged, and whose they are is not known");
  }
  for (const std::string& id : doubtful) names.erase(id);
  if (listing.damaged) names.clear();
  return names;
}

Result<std::vector<std::string>> PbsSystem::Qselect(std::string_view name, bool with_history) {
  std::vector<std::string> command = {"qselect"};
  if (!name.empty()) command.insert(command.end(), {"-N", std::string(name)});
  if (!User().empty()) command.insert(command.end(), {"-u", User()});
  if (with_history) command.emplace_back("-x");
  TRIBUTARY_ASSIGN_OR_RETURN(const CommandResult result, Run(command));
  if (with_history && !result.timed_out && SaysNoHistory(result)) {
    keeps_history_ = false;
    return Qselect(name, /*with_history=*/false);
  }
  if (!result.ok()) return NoAnswer("qselect", result);
  std::vector<std::string> ids = IdsIn(result.out);
  std::sort(ids.begin(), ids.end(),
            [](const std::string& a, const std::string& b) { return NumberOf(a) < NumberOf(b); });
  return ids;
}

Result<std::vector<std::string>> PbsSystem::FindByName(std::string_view name, bool with_history) {
  return Qselect(name, with_history);
}

Result<std::optional<Timestamp>> PbsSystem::EstimateQueued(const std::string& id) {
  TRIBUTARY_ASSIGN_OR_RETURN(const auto job, Ask(id));
  if (!job) return NotFoundError("job " + id + " is not known");
  if (PbsJobStatus(id, *job).state != JobState::kQueued) return std::optional<Timestamp>();
  return ParsePbsTime(TextOf(*job, "estimated.start_time"));
}

Result<std::optional<Timestamp>> PbsSystem::EstimateNew(const JobSpec& /*spec*/,
                                                        const std::string& /*script_path*/) {
  return std::optional<Timestamp>();
}

// The server's word, which also proves that it answers; `qstat --version` is the client's.
Result<std::string> PbsSystem::Version() {
  TRIBUTARY_ASSIGN_OR_RETURN(const CommandResult server, Run({"qstat", "-B", "-f"}));
  if (!server.ok()) return NoAnswer("qstat -B", server);
  const auto attributes = ParseQstatText(server.out);
  std::string version(attributes.ok() ? TextOf(*attributes, "pbs_version") : "");
  if (version.empty()) {
    TRIBUTARY_ASSIGN_OR_RETURN(const CommandResult client, Run({"qstat", "--version"}));
    if (!client.ok()) return NoAnswer("qstat --version", client);
    const std::size_t equals = client.out.find("= ");
    version = equals == std::string::npos ? client.out : client.out.substr(equals + 2);
  }
  return "pbs " + Excerpt(version.substr(0, version.find('\n')));
}

std::unique_ptr<BatchSystem> MakePbs(const SchedulerOptions& options) {
  return std::make_unique<PbsSystem>(options);
}

}  // namespace tributary::scheduler_adapters

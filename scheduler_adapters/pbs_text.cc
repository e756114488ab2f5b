#include "scheduler_adapters/pbs_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstdio>

#include "core/text.h"

namespace tributary::scheduler_adapters {
namespace {

constexpr std::size_t kMaxIdBytes = 256;
constexpr std::string_view kDigits = "0123456789";

// Bits of Exit_status when a signal ended the job's first process.
constexpr std::int64_t kSignalled = 256;
// Negative values of Exit_status: what PBS did with the job, by pbs_server's job.h.
constexpr std::int64_t kKilledForWalltime = -29;
constexpr std::int64_t kKilledForMemory = -27, kKilledForVirtualMemory = -26;
// The node, its daemon or a hook there gave the job up: a MoM that restarted (-4 to -6), a sister
// that was lost (-14), hooks (-16, -18), and its first node that was lost (-20). Where the job may
// not run again, PBS ends it so.
constexpr std::array<std::int64_t, 7> kNodeLost = {-4, -5, -6, -14, -16, -18, -20};
// Taken off its node for the sake of another: requeued (-11), checkpointed (-12, -15).
constexpr std::array<std::int64_t, 3> kTakenOff = {-11, -12, -15};

constexpr int kSubstateDeleted = 91;

std::string_view NextLine(std::string_view* rest) {
  const std::size_t end = std::min(rest->find('\n'), rest->size());
  std::string_view line = rest->substr(0, end);
  rest->remove_prefix(std::min(end + 1, rest->size()));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

std::string_view NextWord(std::string_view* rest, std::string_view separators) {
  rest->remove_prefix(std::min(rest->find_first_not_of(separators), rest->size()));
  const std::size_t end = std::min(rest->find_first_of(separators), rest->size());
  const std::string_view word = rest->substr(0, end);
  rest->remove_prefix(end);
  return word;
}

std::optional<std::int64_t> ParseNumber(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

Timestamp FromSeconds(std::int64_t seconds) {
  return Timestamp(std::chrono::duration_cast<Timestamp::duration>(std::chrono::seconds(seconds)));
}

class Attributes {
 public:
  explicit Attributes(const PbsAttributes& attributes) : attributes_(attributes) {}

  std::string_view Text(std::string_view name) const {
    const auto found = attributes_.find(name);
    return found == attributes_.end() ? std::string_view() : std::string_view(found->second);
  }
  std::optional<std::int64_t> Number(std::string_view name) const {
    return ParseNumber(Text(name));
  }
  std::int64_t Count(std::string_view name) const {
    return std::max<std::int64_t>(0, Number(name).value_or(0));
  }
  std::optional<Timestamp> Time(std::string_view name) const { return ParsePbsTime(Text(name)); }
  std::chrono::seconds Duration(std::string_view name) const {
    return ParsePbsDuration(Text(name)).value_or(std::chrono::seconds(0));
  }
  bool CommentHas(std::string_view words) const {
    return Text("comment").find(words) != std::string_view::npos;
  }

 private:
  const PbsAttributes& attributes_;
};

struct Verdict {
  JobState state = JobState::kUnknown;
  std::string words;
  bool suspended = false;
};

Verdict LiveVerdict(const Attributes& job) {
  const std::string_view state = job.Text("job_state");
  switch (state.size() == 1 ? state[0] : '?') {
    case 'Q':
      return {JobState::kQueued, ""};
    case 'T':
      return {JobState::kQueued, "on its way to a queue"};
    case 'W':
      return {JobState::kQueued, "waits for its time"};
    case 'H':
      return {JobState::kHeld, "hold " + std::string(job.Text("Hold_Types"))};
    case 'R':
    case 'B':
      return {JobState::kRunning, ""};
    case 'E':
      return {JobState::kRunning, "exiting"};
    case 'S':
    case 'U':
      return {JobState::kRunning, "suspended", true};
    case 'M':
      return {JobState::kUnknown, "moved to another server"};
    default:
      return {JobState::kUnknown, "not a state that is known"};
  }
}

// Older servers have no exit status for an exceeded walltime: they report the signal alone.
bool ExceededWalltime(const Attributes& job, std::int64_t exit) {
  if (exit == kKilledForWalltime || job.CommentHas("exceeded resource walltime")) return true;
  const auto limit = job.Duration("Resource_List.walltime");
  const bool stopped = exit == kSignalled + 15 || exit == kSignalled + 9;
  return stopped && limit.count() > 0 && job.Duration("resources_used.walltime") >= limit;
}

JobState BadEnd(const Attributes& job, std::int64_t exit) {
  if (ExceededWalltime(job, exit)) return JobState::kTimedOut;
  const bool memory = exit == kKilledForMemory || exit == kKilledForVirtualMemory ||
                      job.CommentHas("exceeded resource mem") ||
                      job.CommentHas("exceeded resource vmem");
  if (memory) return JobState::kOutOfMemory;
  const auto is_one_of = [&](const auto& codes) {
    return std::find(codes.begin(), codes.end(), exit) != codes.end();
  };
  if (is_one_of(kNodeLost)) return JobState::kNodeFailed;
  if (is_one_of(kTakenOff)) return JobState::kPreempted;
  return JobState::kFailed;
}

// A deleted job is recognised by its substate: its exit status may be anything, 0 too.
Verdict EndVerdict(const Attributes& job) {
  const auto exit = job.Number("Exit_status");
  if (!exit) return {JobState::kCancelled, "never ran"};
  std::string words = *exit >= kSignalled
                          ? "signal " + std::to_string(*exit - kSignalled)
                          : (*exit < 0 ? "pbs status " : "exit code ") + std::to_string(*exit);
  const bool deleted =
      job.Number("substate") == kSubstateDeleted || job.CommentHas("terminated by");
  // Preemption by deletion is a deletion by the scheduler.
  if (deleted && job.CommentHas("terminated by Scheduler@")) {
    return {JobState::kPreempted, std::move(words)};
  }
  if (deleted) return {JobState::kCancelled, std::move(words)};
  if (*exit != 0) return {BadEnd(job, *exit), std::move(words)};
  const bool undelivered = job.Number("Stageout_status") == 0;
  return {JobState::kCompleted, undelivered ? "its output could not be delivered" : ""};
}

std::optional<int> ExitCode(const Attributes& job) {
  const auto exit = job.Number("Exit_status");
  if (!exit || *exit < 0 || *exit >= kSignalled + 128) return std::nullopt;
  return static_cast<int>(*exit >= kSignalled ? *exit - kSignalled + 128 : *exit);
}

void FillEnd(const Attributes& job, JobStatus* status) {
  status->exit_code = ExitCode(job);
  for (const std::string_view name : {"obittime", "history_timestamp", "mtime"}) {
    if (!status->ended) status->ended = job.Time(name);
  }
  if (!job.Number("Exit_status")) status->started.reset();
  // A server that was restarted may report a start after the end.
  if (status->ended && status->started)
    status->started = std::min(*status->started, *status->ended);
}

// A value for one word of a directive. qsub splits the line as a shell would.
bool IsWritable(std::string_view value) {
  return std::none_of(value.begin(), value.end(), [](char c) {
    return static_cast<unsigned char>(c) < ' ' || c == '"' || c == '\'' || c == '\\' || c == '\x7f';
  });
}

std::string Quoted(const std::string& value) {
  return value.find(' ') == std::string::npos ? value : '"' + value + '"';
}

std::string Select(const JobSpec& spec) {
  return "select=" + std::to_string(spec.nodes) + ":ncpus=" + std::to_string(spec.cpus) +
         (spec.tasks > 1 ? ":mpiprocs=" + std::to_string(spec.tasks) : "") +
         (spec.gpus > 0 ? ":ngpus=" + std::to_string(spec.gpus) : "");
}

}  // namespace

bool IsPbsJobId(std::string_view id) {
  if (id.size() > kMaxIdBytes) return false;
  std::size_t at = std::min(id.find_first_not_of(kDigits), id.size());
  if (at == 0) return false;
  if (at < id.size() && id[at] == '[') {
    const std::size_t close = std::min(id.find_first_not_of(kDigits, at + 1), id.size());
    if (close == id.size() || id[close] != ']') return false;
    at = close + 1;
  }
  if (at == id.size()) return true;
  if (id[at] != '.' || at + 1 == id.size()) return false;
  return std::all_of(id.begin() + static_cast<std::ptrdiff_t>(at) + 1, id.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_';
  });
}

bool IsSamePbsJob(std::string_view a, std::string_view b) {
  const std::size_t number_a = std::min(a.find('.'), a.size());
  const std::size_t number_b = std::min(b.find('.'), b.size());
  if (a.substr(0, number_a) != b.substr(0, number_b)) return false;
  if (a.size() > b.size()) std::swap(a, b);
  return b.starts_with(a) && (b.size() == a.size() || b[a.size()] == '.');
}

std::optional<Timestamp> ParsePbsTime(std::string_view text) {
  if (const auto seconds = ParseNumber(text)) {
    constexpr std::int64_t kYear9999 = 253'402'300'799;
    if (*seconds <= 0 || *seconds > kYear9999) return std::nullopt;
    return FromSeconds(*seconds);
  }
  constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
  NextWord(&text, " ");  // the day of the week
  const std::string_view month = NextWord(&text, " ");
  const std::size_t index = month.size() == 3 ? kMonths.find(month) : std::string_view::npos;
  std::array<std::optional<std::int64_t>, 5> numbers;  // day, hour, minute, second, year
  for (auto& number : numbers) number = ParseNumber(NextWord(&text, " :"));
  const auto [day, hour, minute, second, year] = numbers;
  if (index == std::string_view::npos || index % 3 != 0 || !day || !hour || !minute || !second ||
      !year || *year < 1970 || *year > 9999 || *day < 1 || *day > 31) {
    return std::nullopt;
  }
  const std::chrono::year_month_day date{std::chrono::year(static_cast<int>(*year)),
                                         std::chrono::month(static_cast<unsigned>(index / 3 + 1)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok() || *hour < 0 || *hour > 23 || *minute < 0 || *minute > 59 || *second < 0 ||
      *second > 60) {
    return std::nullopt;
  }
  return Timestamp(std::chrono::sys_days(date)) +
         std::chrono::seconds(*hour * 3600 + *minute * 60 + *second);
}

std::optional<std::chrono::seconds> ParsePbsDuration(std::string_view text) {
  constexpr std::int64_t kMost = 1'000'000'000;
  std::int64_t seconds = 0;
  if (text.empty()) return std::nullopt;
  while (!text.empty()) {
    const auto part = ParseNumber(NextWord(&text, ":"));
    if (!part || *part < 0 || *part > kMost || seconds > kMost) return std::nullopt;
    seconds = seconds * 60 + *part;
  }
  return std::chrono::seconds(seconds);
}

std::string FormatPbsDuration(std::chrono::seconds duration) {
  const auto total = static_cast<long long>(duration.count());
  char text[40];
  std::snprintf(text, sizeof text, "%02lld:%02lld:%02lld", total / 3600, total / 60 % 60,
                total % 60);
  return text;
}

Result<PbsAttributes> ParseQstatText(std::string_view text) {
  PbsAttributes attributes;
  std::string* last = nullptr;  // the value that a line may go on with
  bool inside = false;
  while (!text.empty()) {
    const std::string_view line = NextLine(&text);
    if (!inside) {
      inside = line.starts_with("Job Id: ") || line.starts_with("Server: ");
    } else if (line.empty()) {
      break;
    } else if (line.starts_with('\t')) {
      if (last != nullptr) last->append(line.substr(1));
    } else if (const std::size_t equals = line.find(" = ");
               line.starts_with("    ") && equals != std::string_view::npos) {
      const std::string_view name = line.substr(4, std::max<std::size_t>(equals, 4) - 4);
      last = nullptr;
      if (!IsUsedPbsAttribute(name)) continue;
      last = &(attributes[std::string(name)] = line.substr(equals + 3));
    }
  }
  if (attributes.empty()) return InvalidArgumentError("no attributes in what qstat printed");
  return attributes;
}

JobStatus PbsJobStatus(std::string_view id, const PbsAttributes& attributes) {
  const Attributes job(attributes);
  const std::string_view state = job.Text("job_state");
  const bool ended = state == "F" || state == "X";
  const Verdict verdict = ended ? EndVerdict(job) : LiveVerdict(job);
  JobStatus status;
  status.id = id;
  status.state = verdict.state;
  status.suspended = verdict.suspended;
  status.raw_state = Excerpt(state, 16);
  if (!job.Text("substate").empty()) {
    status.raw_state += "/" + Excerpt(job.Text("substate"), 16);
  }
  status.submitted = job.Time("ctime");
  const bool waits = verdict.state == JobState::kQueued || verdict.state == JobState::kHeld;
  if (!waits) status.started = job.Time("stime");
  if (ended) FillEnd(job, &status);
  if (waits && !ended) status.ended = job.Time("obittime");  // of the run before
  // The count goes up when it starts, so that one that waits has been put back that often.
  status.restarts = static_cast<int>(
      std::clamp<std::int64_t>(job.Count("run_count") - (waits ? 0 : 1), 0, 1'000'000));
  status.usage = {job.Count("Resource_List.nodect"), job.Count("Resource_List.ncpus"),
                  job.Count("Resource_List.ngpus"), job.Duration("resources_used.walltime")};
  const std::string_view comment = job.Text("comment");
  const std::string_view between = verdict.words.empty() || comment.empty() ? "" : "; ";
  status.message =
      Excerpt(verdict.words + std::string(between) + std::string(comment), kMaxJobMessageBytes);
  return status;
}

std::vector<std::string> ParseQsubAnswer(std::string_view out) {
  std::vector<std::string> ids;
  while (!out.empty()) {
    const std::string_view line = NextLine(&out);
    if (line.find('.') != std::string_view::npos && IsPbsJobId(line)) {
      ids.insert(ids.begin(), std::string(line));
    }
  }
  return ids;
}

// The statuses are the last byte of PBS's error numbers (15001 and on); below 40 some stand for two
// errors, so that the text decides.
bool IsQsubRefusal(int exit_status, std::string_view err) {
  const auto says = [&](std::string_view words) {
    return err.find(words) != std::string_view::npos;
  };
  if (says("would exceed") || says("Maximum number of jobs")) return false;
  constexpr std::array<int, 20> kForGood = {2,   3,   4,   7,   32,  154, 155, 159, 166, 170,
                                            174, 175, 178, 180, 184, 187, 188, 189, 191, 197};
  if (std::find(kForGood.begin(), kForGood.end(), exit_status) != kForGood.end()) return true;
  return exit_status == 1 && (says("qsub: script") || says("directive error") ||
                              says("cannot send environment") || says("illegal"));
}

bool IsQsubNotNow(int exit_status, std::string_view err) {
  constexpr int kQueueLimit = 38, kQueueDisabled = 173;
  return exit_status == kQueueLimit || exit_status == kQueueDisabled ||
         err.find("would exceed") != std::string_view::npos ||
         err.find("Maximum number of jobs") != std::string_view::npos;
}

Result<std::vector<std::string>> PbsDirectives(const JobSpec& spec, bool requeue) {
  for (const std::string* value :
       {&spec.stdout_path, &spec.stderr_path, &spec.queue, &spec.account, &spec.name}) {
    if (IsWritable(*value)) continue;
    return InvalidArgumentError("\"" + Excerpt(*value) +
                                "\" cannot stand in a #PBS line: quotes, backslashes and control "
                                "characters are not allowed");
  }
  std::vector<std::string> lines = {"-N " + spec.name, "-o " + Quoted(spec.stdout_path)};
  lines.push_back(spec.stderr_path == spec.stdout_path ? "-j oe"
                                                       : "-e " + Quoted(spec.stderr_path));
  lines.emplace_back(requeue ? "-r y" : "-r n");
  if (!spec.queue.empty()) lines.push_back("-q " + Quoted(spec.queue));
  if (!spec.account.empty()) lines.push_back("-A " + Quoted(spec.account));
  const bool selects = std::any_of(
      spec.directives.begin(), spec.directives.end(),
      [](const std::string& line) { return line.find("select=") != std::string::npos; });
  if (!selects) lines.push_back("-l " + Select(spec));
  if (spec.walltime.count() > 0) {
    lines.push_back("-l walltime=" + FormatPbsDuration(spec.walltime));
  }
  for (const std::string& directive : spec.directives) {
    if (directive.find('\n') != std::string::npos || directive.find('\0') != std::string::npos) {
      return InvalidArgumentError("directive \"" + Excerpt(directive) + "\" is more than one line");
    }
    lines.push_back(directive);
  }
  for (std::string& line : lines) {
    std::erase(line, '\r');  // qsub refuses a script that has any
    line.insert(0, "#PBS ");
  }
  return lines;
}

}  // namespace tributary::scheduler_adapters

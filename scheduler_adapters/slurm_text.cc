#include "scheduler_adapters/slurm_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <vector>

#include "core/text.h"

namespace tributary::scheduler_adapters {
namespace {

constexpr std::string_view kSpaces = " \t\r";

std::string_view Trim(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kSpaces);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpaces) - begin + 1);
}

std::optional<std::int64_t> ParseNumber(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

bool IsNumber(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

bool Contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

bool ContainsAny(std::string_view text, std::span<const std::string_view> parts) {
  return std::any_of(parts.begin(), parts.end(),
                     [&](std::string_view part) { return Contains(text, part); });
}

std::vector<std::string_view> Split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (std::size_t begin = 0;;) {
    const std::size_t end = text.find(separator, begin);
    parts.push_back(text.substr(begin, end - begin));
    if (end == std::string_view::npos) return parts;
    begin = end + 1;
  }
}

// --- states ---

struct StateWord {
  std::string_view word, letters;
  JobState state;
};
// A job that holds its nodes is running, also while they boot, are resized or suspended, or while
// its last processes end; one that a federation took elsewhere (REVOKED) is out of our sight.
constexpr std::array kStateWords = {
    StateWord{"PENDING", "PD", JobState::kQueued},
    StateWord{"RUNNING", "R", JobState::kRunning},
    StateWord{"COMPLETED", "CD", JobState::kCompleted},
    StateWord{"COMPLETING", "CG", JobState::kRunning},
    StateWord{"CANCELLED", "CA", JobState::kCancelled},
    StateWord{"FAILED", "F", JobState::kFailed},
    StateWord{"TIMEOUT", "TO", JobState::kTimedOut},
    StateWord{"DEADLINE", "DL", JobState::kTimedOut},
    StateWord{"NODE_FAIL", "NF", JobState::kNodeFailed},
    StateWord{"BOOT_FAIL", "BF", JobState::kNodeFailed},
    StateWord{"PREEMPTED", "PR", JobState::kPreempted},
    StateWord{"OUT_OF_MEMORY", "OOM", JobState::kOutOfMemory},
    StateWord{"CONFIGURING", "CF", JobState::kRunning},
    StateWord{"SUSPENDED", "S", JobState::kRunning},
    StateWord{"STOPPED", "ST", JobState::kRunning},
    StateWord{"RESIZING", "RS", JobState::kRunning},
    StateWord{"SIGNALING", "SI", JobState::kRunning},
    StateWord{"STAGE_OUT", "SO", JobState::kRunning},
    StateWord{"REQUEUED", "RQ", JobState::kQueued},
    StateWord{"REQUEUE_FED", "RF", JobState::kQueued},
    StateWord{"REQUEUE_HOLD", "RH", JobState::kHeld},
    StateWord{"RESV_DEL_HOLD", "RD", JobState::kHeld},
    StateWord{"SPECIAL_EXIT", "SE", JobState::kHeld},
    StateWord{"REVOKED", "RV", JobState::kUnknown},
};

const StateWord* FindStateWord(std::string_view word) {
  const bool cut = word.ends_with('+');
  if (cut) word.remove_suffix(1);
  if (word.empty()) return nullptr;
  for (const StateWord& entry : kStateWords) {
    if (word == entry.word || word == entry.letters || (cut && entry.word.starts_with(word))) {
      return &entry;
    }
  }
  return nullptr;
}

// "JobHeldUser", "JobHoldMaxRequeue", "launch failed requeued held", ...
bool IsHold(std::string_view reason) {
  constexpr std::array<std::string_view, 3> kHolds = {"Held", "held", "JobHold"};
  return ContainsAny(reason, kHolds);
}

// --- columns ---

struct Column {
  std::string_view name;
  std::size_t width;
};
// The name last: it may hold anything. No version of squeue prints what a column has beyond its
// width, nor anything between columns.
constexpr std::array kSqueueColumns = {
    Column{"JobID", 32},       Column{"State", 32},         Column{"exit_code", 16},
    Column{"RestartCnt", 8},   Column{"NodeList", 4},  // only whether there are any
    Column{"SubmitTime", 24},  Column{"StartTime", 24},     Column{"EndTime", 24},
    Column{"TimeUsed", 24},    Column{"NumNodes", 12},      Column{"NumCPUs", 12},
    Column{"tres-alloc", 256}, Column{"tres-per-node", 96}, Column{"Reason", 128},
    Column{"Name", 128},
};
enum SqueueColumn : std::uint8_t {
  kId,
  kState,
  kExit,
  kRestarts,
  kNodeList,
  kSubmitted,
  kStarted,
  kEnded,
  kUsed,
  kNodes,
  kCpus,
  kTres,
  kTresPerNode,
  kReason,
  kName,
};
static_assert(kSqueueColumns.size() == kName + 1);

// Local time without a zone; the command runner sets UTC. "N/A", "None", "Unknown": none.
std::optional<Timestamp> ParseTime(std::string_view text) {
  if (text.empty() || text.front() < '0' || text.front() > '9') return std::nullopt;
  auto time = ParseTimestamp(std::string(text) + "Z");
  return time.ok() ? std::optional(*time) : std::nullopt;
}

// "cpu=4,node=2,gres/gpu=8,gres/gpu:a100=8": the sum over types only where there is no total.
std::int64_t GpusIn(std::string_view tres) {
  std::int64_t by_type = 0;
  for (std::string_view item : Split(tres, ',')) {
    const std::size_t equals = item.find('=');
    if (!item.starts_with("gres/gpu") || equals == std::string_view::npos) continue;
    const std::int64_t count = ParseNumber(item.substr(equals + 1)).value_or(0);
    if (item.substr(0, equals) == "gres/gpu") return count;
    if (item.starts_with("gres/gpu:")) by_type += count;
  }
  return by_type;
}

// "gres:gpu:2", "gres/gpu:a100:2", "gres/gpu=2": as it was asked for.
std::int64_t GpusPerNode(std::string_view request) {
  std::int64_t gpus = 0;
  for (const std::string_view item : Split(request, ',')) {
    const std::size_t last = item.find_last_of(":=");
    if (!Contains(item, "gpu")) continue;
    gpus += last == std::string_view::npos ? 1 : ParseNumber(item.substr(last + 1)).value_or(1);
  }
  return gpus;
}

bool SaysNothing(std::string_view reason) {
  return reason.empty() || reason == "None" || reason == "N/A" || reason == "(null)";
}

// Why, in a line: how it ended, then the scheduler's reason.
std::string MessageFor(const JobStatus& status, std::string_view exit, std::string_view reason) {
  std::string text;
  if (status.state == JobState::kFailed && status.exit_code) {
    text = *status.exit_code > 128 && !exit.ends_with(":0")
               ? "signal " + std::to_string(*status.exit_code - 128)
               : "exit code " + std::to_string(*status.exit_code);
  } else if (status.state == JobState::kFailed) {
    text = "it could not be started on its node, or ended by a code of the scheduler's own, " +
           std::string(exit);
  } else if (status.state == JobState::kUnknown) {
    text = "the scheduler says " + status.raw_state;
  } else if (status.raw_state.find(' ') != std::string::npos) {
    text = status.raw_state;  // "CANCELLED by 1000"
  }
  if (!SaysNothing(reason) && reason != "NonZeroExitCode") {
    text += text.empty() ? std::string(reason) : " (" + std::string(reason) + ")";
  }
  return Excerpt(text, kMaxJobMessageBytes);
}

// The exit code where it is the command's own: tools differ on all other ends.
void SetEnd(std::string_view exit, std::string_view reason, JobStatus* status) {
  if (status->state == JobState::kCompleted) status->exit_code = 0;
  if (status->state == JobState::kFailed) status->exit_code = ParseSlurmExit(exit);
  status->message = MessageFor(*status, exit, reason);
}

}  // namespace

void LineSplitter::Append(std::string_view text) {
  held_.append(text.substr(0, kMaxLine - held_.size()));
}

void LineSplitter::Feed(std::string_view piece) {
  for (std::size_t end = piece.find('\n'); end != std::string_view::npos; end = piece.find('\n')) {
    Append(piece.substr(0, end));
    line_(held_);
    held_.clear();
    piece.remove_prefix(end + 1);
  }
  Append(piece);
}

void LineSplitter::Finish() {
  if (!held_.empty()) line_(held_);
  held_.clear();
}

JobState SlurmJobState(std::string_view word, std::string_view reason) {
  JobState state = JobState::kUnknown;
  for (std::string_view part : Split(word, ',')) {
    const std::size_t begin = part.find_first_not_of(" []\"");
    if (begin == std::string_view::npos) continue;
    part.remove_prefix(begin);
    // Of a list the last that is known counts: flags come after the state and weigh more.
    const StateWord* known = FindStateWord(part.substr(0, part.find_first_of(" []\"")));
    if (known != nullptr) state = known->state;
  }
  return state == JobState::kQueued && IsHold(reason) ? JobState::kHeld : state;
}

std::string SqueueColumns() {
  std::string columns;
  for (const Column& column : kSqueueColumns) {
    columns += (columns.empty() ? "" : ",") + std::string(column.name) + ":" +
               std::to_string(column.width);
  }
  return columns;
}

std::optional<SqueueJob> ParseSqueueLine(std::string_view line) {
  std::array<std::string_view, kSqueueColumns.size()> cells;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (line.empty()) return std::nullopt;
    cells[i] = Trim(line.substr(0, kSqueueColumns[i].width));
    line.remove_prefix(std::min(line.size(), kSqueueColumns[i].width));
  }
  if (!IsNumber(cells[kId])) return std::nullopt;
  SqueueJob job;
  job.name = cells[kName];
  JobStatus& status = job.status;
  status.id = cells[kId];
  status.raw_state = Excerpt(cells[kState], kMaxJobMessageBytes);
  status.state = SlurmJobState(cells[kState], cells[kReason]);
  status.restarts = static_cast<int>(ParseNumber(cells[kRestarts]).value_or(0));
  status.submitted = ParseTime(cells[kSubmitted]);
  const bool waits = status.state == JobState::kQueued || status.state == JobState::kHeld;
  const bool has_nodes = !cells[kNodeList].empty() && cells[kNodeList] != "(nul" &&
                         cells[kNodeList] != "n/a" && cells[kNodeList] != "N/A";
  if (waits) {
    job.expected_start = ParseTime(cells[kStarted]);
  } else if (has_nodes) {  // without nodes it ended in the queue, and its start is its end
    status.started = ParseTime(cells[kStarted]);
    status.usage.nodes = ParseNumber(cells[kNodes]).value_or(0);
    status.usage.cpus = ParseNumber(cells[kCpus]).value_or(0);
    status.usage.gpus = GpusIn(cells[kTres]);
    if (status.usage.gpus == 0) {  // a site that does not count them
      status.usage.gpus = status.usage.nodes * GpusPerNode(cells[kTresPerNode]);
    }
    status.usage.elapsed = ParseSlurmDuration(cells[kUsed]).value_or(std::chrono::seconds(0));
  }
  status.suspended = status.raw_state == "SUSPENDED" || status.raw_state == "STOPPED";
  if (IsTerminal(status.state)) status.ended = ParseTime(cells[kEnded]);
  SetEnd(cells[kExit], cells[kReason], &status);
  return job;
}

std::optional<SacctJob> ParseSacctLine(std::string_view line) {
  enum : std::uint8_t {
    kRow,
    kWord,
    kCode,
    kSubmit,
    kStart,
    kEnd,
    kRaw,
    kNode,
    kCpu,
    kAlloc,
    kJobName
  };
  constexpr std::size_t kCells = kJobName + 1;
  std::array<std::string_view, kCells> cells;
  for (std::size_t i = 0; i < kCells; ++i) {
    const std::size_t end = i == kJobName ? line.size() : line.find('|');
    if (end == std::string_view::npos) return std::nullopt;
    cells[i] = Trim(line.substr(0, end));
    line.remove_prefix(std::min(line.size(), end + 1));
  }
  if (!IsNumber(cells[kRow])) return std::nullopt;
  SacctJob job;
  job.name = cells[kJobName];
  JobStatus& status = job.status;
  status.id = cells[kRow];
  status.raw_state = Excerpt(cells[kWord], kMaxJobMessageBytes);
  status.state = SlurmJobState(cells[kWord], {});
  status.submitted = ParseTime(cells[kSubmit]);
  if (IsTerminal(status.state)) status.ended = ParseTime(cells[kEnd]);
  // Without nodes it ended in the queue, and its start, if there is one, is its end.
  status.usage.nodes = ParseNumber(cells[kNode]).value_or(0);
  if (status.usage.nodes > 0) {
    status.started = ParseTime(cells[kStart]);
    status.usage.cpus = ParseNumber(cells[kCpu]).value_or(0);
    status.usage.gpus = GpusIn(cells[kAlloc]);
    status.usage.elapsed = std::chrono::seconds(ParseNumber(cells[kRaw]).value_or(0));
  }
  SetEnd(cells[kCode], {}, &status);
  job.last_elapsed = status.usage.elapsed;
  return job;
}

void SacctJobs::Add(const SacctJob& incarnation) {
  const auto [found, is_new] = jobs_.try_emplace(incarnation.status.id, incarnation);
  SacctJob& job = found->second;
  // "allocation" stands in for a name that has not arrived yet.
  const bool same = is_new || incarnation.name == job.name || incarnation.name == "allocation" ||
                    job.name == "allocation";
  const bool later = incarnation.status.submitted >= job.status.submitted;
  if (is_new || (!same && !later)) return;
  if (!same) {
    job = incarnation;
    return;
  }
  const SacctJob before = job;
  if (later) job = incarnation;
  JobUsage& usage = job.status.usage;
  const JobUsage& other = later ? before.status.usage : incarnation.status.usage;
  usage.elapsed += other.elapsed;
  if (usage.nodes == 0) {  // the last incarnation never started
    usage.nodes = other.nodes;
    usage.cpus = other.cpus;
    usage.gpus = other.gpus;
  }
  job.status.restarts = before.status.restarts + 1;
}

bool IsSlurmJobId(std::string_view id) {
  constexpr std::size_t kMaxNumberBytes = 16, kMaxClusterBytes = 40;  // its name, by sacctmgr
  constexpr std::string_view kClusterLetters =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
  const std::size_t semicolon = id.find(';');
  const std::string_view number = id.substr(0, semicolon);
  if (!IsNumber(number) || number.front() == '0' || number.size() > kMaxNumberBytes) return false;
  if (semicolon == std::string_view::npos) return true;
  const std::string_view cluster = id.substr(semicolon + 1);
  return !cluster.empty() && cluster.size() <= kMaxClusterBytes && cluster.front() != '-' &&
         cluster.find_first_not_of(kClusterLetters) == std::string_view::npos;
}

std::string ClusterIn(std::span<const std::string> directives) {
  std::string cluster;
  for (const std::string& directive : directives) {
    for (const std::string_view option : {"--clusters", "--cluster", "-M"}) {
      std::string_view rest = Trim(directive);
      if (!rest.starts_with(option)) continue;
      rest.remove_prefix(option.size());
      const bool takes_rest = option == "-M" || rest.starts_with('=') || rest.starts_with(' ');
      if (!takes_rest) continue;
      if (rest.starts_with('=')) rest.remove_prefix(1);
      cluster = Trim(rest);
      std::erase(cluster, '"');
      break;
    }
  }
  return cluster;
}

std::vector<std::string> ParseSubmittedIds(std::string_view output) {
  std::vector<std::string> ids;
  for (const std::string_view line : Split(output, '\n')) {
    const std::string_view text = Trim(line);
    if (IsSlurmJobId(text)) ids.insert(ids.begin(), std::string(text));
  }
  return ids;
}

std::optional<Timestamp> ParseTestOnlyStart(std::string_view errors) {
  constexpr std::string_view kMark = " to start at ";
  const std::size_t at = errors.find(kMark);
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view time = errors.substr(at + kMark.size());
  return ParseTime(time.substr(0, time.find_first_of(" \n")));
}

std::optional<std::string> ParseSlurmVersion(std::string_view output) {
  for (const std::string_view line : Split(output, '\n')) {
    if (!line.starts_with("slurm")) continue;
    const std::string_view version = Trim(line.substr(std::min(line.find(' '), line.size())));
    if (!version.empty() && version.front() >= '0' && version.front() <= '9') {
      return std::string(version);
    }
  }
  return std::nullopt;
}

bool SomeControllerIsUp(std::string_view ping) {
  for (const std::string_view line : Split(ping, '\n')) {
    if (line.starts_with("Slurmctld(") && Trim(line).ends_with(" UP")) return true;
  }
  return false;
}

bool SaysUnknownJob(std::string_view errors) {
  return Contains(errors, "Invalid job id specified");
}

SbatchTrouble SbatchTroubleIn(std::string_view errors) {
  // All that sbatch says of its own accord begins so; a shell, ssh or a wrapper does not.
  constexpr std::array<std::string_view, 2> kOwnWords = {"sbatch: ", "allocation failure: "};
  constexpr std::array<std::string_view, 27> kUnreachable = {
      "Unable to contact slurm controller",
      "Socket timed out",
      "Zero Bytes were transmitted",
      "authentication error",
      "Munge encode failed",
      "Munge decode failed",
      "Connection refused",
      "Connection reset",
      "Connection timed out",
      "Communication connection failure",
      "Communication shutdown failure",
      "Message send failure",
      "Message receive failure",
      "Unexpected message received",
      "Insane message length",
      "Header lengths are longer",
      "backup controller in standby",
      "No route to host",
      "Network is unreachable",
      "Broken pipe",
      "Resource temporarily unavailable",
      "configuration source",
      "process configuration file",
      "DNS SRV lookup failed",
      "Job credential expired",
      "No space left on device",
      "Unable to open file",  // a script that a login node does not see yet
  };
  constexpr std::array<std::string_view, 8> kNotNow = {
      "temporarily unable to accept job",
      "Requested nodes are busy",
      "not available now",
      "Required node not available",
      "Required partition not available",
      "I/O error writing script/environment",
      "SubmitJob",  // AssocMaxSubmitJobLimit, QOSMaxSubmitJobPerUserLimit, ...
      "SubmitLimit",
  };
  bool own = false;
  for (const std::string_view line : Split(errors, '\n')) {
    for (const std::string_view words : kOwnWords) own = own || line.starts_with(words);
  }
  if (!own || ContainsAny(errors, kUnreachable)) return SbatchTrouble::kUnreachable;
  return ContainsAny(errors, kNotNow) ? SbatchTrouble::kNotNow : SbatchTrouble::kRefused;
}

std::optional<int> ParseSlurmExit(std::string_view text) {
  // 53 is what slurmd reports for a script, directory or output file that it could not open.
  constexpr std::int64_t kLaunchFailed = 53, kLastSignal = 64;
  const std::size_t colon = text.find(':');
  auto code = ParseNumber(text.substr(0, colon));
  std::optional<std::int64_t> signal = 0;
  if (colon != std::string_view::npos) {
    signal = ParseNumber(text.substr(colon + 1));
  } else if (code) {
    signal = *code & 0x7f;
    code = *code >> 8;
  }
  if (!code || !signal || *signal == kLaunchFailed || *signal > kLastSignal) return std::nullopt;
  return static_cast<int>(*signal > 0 ? 128 + *signal : *code);
}

std::optional<std::chrono::seconds> ParseSlurmDuration(std::string_view text) {
  constexpr std::int64_t kMost = 1'000'000'000;
  std::int64_t days = 0;
  if (const std::size_t dash = text.find('-'); dash != std::string_view::npos) {
    const auto number = ParseNumber(text.substr(0, dash));
    if (!number || *number > kMost) return std::nullopt;
    days = *number;
    text.remove_prefix(dash + 1);
  }
  std::int64_t seconds = 0;
  for (const std::string_view part : Split(text, ':')) {
    const auto number = ParseNumber(part);
    if (!number || *number < 0 || *number > kMost || seconds > kMost) return std::nullopt;
    seconds = seconds * 60 + *number;
  }
  return std::chrono::seconds(days * 86400 + seconds);
}

std::string SbatchQuote(std::string_view value) {
  std::string quoted = "\"";
  for (const char c : value) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "\"";
}

}  // namespace tributary::scheduler_adapters

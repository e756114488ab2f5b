#include "client/doctor_scheduler.h"

#include <poll.h>

#include <algorithm>
#include <map>
#include <set>
#include <sstream>

#include "client/doctor_files.h"
#include "client/job_rendering.h"
#include "client/launcher.h"
#include "core/files.h"
#include "core/sha256.h"
#include "core/text.h"

namespace tributary::client {
namespace {

using scheduler_adapters::JobSpec;
using scheduler_adapters::JobState;
using scheduler_adapters::JobStatus;
using scheduler_adapters::SchedulerAdapter;
using SteadyTime = std::chrono::steady_clock::time_point;

constexpr std::chrono::seconds kWalltime{300};
constexpr std::chrono::seconds kSayEvery{15};
constexpr std::chrono::seconds kEndsWithin{20};  // a cancelled job
constexpr std::chrono::seconds kSeenWithin{45};  // a file of another machine, through its caches
constexpr std::chrono::milliseconds kStep{100};  // between two looks at keep_going
constexpr int kCancelTries = 3;
constexpr std::size_t kShown = 300;
constexpr std::size_t kMaxSeenBytes = 65536;

// $1 directory, $2 "gpu" or "none", $3 number of paths, then the paths. What follows is ignored:
// "train --task DIR", as every trainer gets it. Each process that the launcher starts writes a file
// of its own.
constexpr const char* kProgram = R"sh(
dir=$1; gpu=$2; count=$3; shift 3
out="$dir/seen.$(uname -n).$$.${SLURM_PROCID:-${PMI_RANK:-${OMPI_COMM_WORLD_RANK:-0}}}"
{
  echo "host $(uname -n)"
  while [ "$count" -gt 0 ]; do
    [ -r "$1" ] || echo "unreadable $1"
    shift; count=$((count - 1))
  done
  if [ "$gpu" = gpu ]; then
    for tool in nvidia-smi rocm-smi xpu-smi; do
      command -v "$tool" >/dev/null 2>&1 || continue
      case "$tool" in
        nvidia-smi) said=$(nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader 2>&1) ;;
        rocm-smi) said=$(rocm-smi --showproductname 2>&1) ;;
        xpu-smi) said=$(xpu-smi discovery 2>&1) ;;
      esac
      echo "tool $tool $?"
      printf '%s\n' "$said" | head -n 200 | sed 's/^/gpu /'
      break
    done
  fi
} > "$out.part" && mv "$out.part" "$out"
)sh";

std::string Place(const ClientConfig& config) {
  const auto or_default = [](const std::string& text) {
    return text.empty() ? "the default" : text;
  };
  return "queue " + or_default(config.job.queue) + ", account " + or_default(config.job.account);
}

// "; it would start in about 90 s", if the scheduler has an opinion.
std::string StartText(SchedulerAdapter& adapter, const JobSpec& spec) {
  const auto start = adapter.Estimate(spec);
  if (!start.ok() || !*start) return {};
  const auto wait = std::chrono::round<std::chrono::seconds>(**start - SystemClock().Now());
  return "; it would start in about " + std::to_string(std::max<std::int64_t>(wait.count(), 0)) +
         " s";
}

Check CheckAcceptance(const ClientConfig& config, SchedulerAdapter& adapter) {
  const std::string name = "queue";
  JobSpec spec = SampleJob(config, "train");
  if (config.job.pilot) spec.walltime = config.job.pilot->walltime;  // tasks run inside that one
  const Status status = adapter.CheckAccepted(spec);
  const bool local = config.scheduler.adapter == "local";
  const std::string size = std::to_string(spec.nodes) + (spec.nodes == 1 ? " node, " : " nodes, ") +
                           std::to_string(spec.walltime.count()) + " s";
  if (status.ok()) {
    return Passed(name, (local ? "takes a job of " : Place(config) + ": takes a job of ") + size +
                            StartText(adapter, spec));
  }
  if (status.code() == StatusCode::kInvalidArgument) {
    return Failed(name, status.message(),
                  local ? "correct job.cpus and job.nodes"
                        : "correct job.queue, job.account, job.directives, or the size of the job "
                          "(nodes, gpus, cpus, policy.max_walltime)");
  }
  if (status.code() == StatusCode::kFailedPrecondition) {
    return Failed(name, status.message(), "choose another queue, or ask the center when it starts");
  }
  return Warned(
      name,
      Place(config) + ": no answer whether it takes a job of " + size + ": " + status.message(),
      "try again later; `tributary-client render` prints the script to submit by hand");
}

// Sleeps in steps; false when it was told to stop.
bool Pause(std::chrono::milliseconds time, const std::function<bool()>& keep_going) {
  const SteadyTime end = std::chrono::steady_clock::now() + time;
  while (keep_going()) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    if (left.count() <= 0) return true;
    poll(nullptr, 0, static_cast<int>(std::min(left, kStep).count()));
  }
  return false;
}

// A job that must not outlive the check.
class TestJob {
 public:
  TestJob(SchedulerAdapter& adapter, std::string id) : adapter_(adapter), id_(std::move(id)) {}
  ~TestJob() { (void)End(); }
  TestJob(const TestJob&) = delete;
  TestJob& operator=(const TestJob&) = delete;

  const std::string& id() const { return id_; }
  const JobStatus& Look() {
    if (!IsTerminal(status_.state)) status_ = adapter_.Query(std::span(&id_, 1))[0];
    return status_;
  }
  const JobStatus& status() const { return status_; }

  // Cancels it unless it has ended. An error: it may still run.
  Status End() {
    if (IsTerminal(status_.state) || ended_) return OkStatus();
    Status status;
    for (int i = 0; i < kCancelTries; ++i) {
      status = adapter_.Cancel(id_);
      if (status.ok() || status.code() == StatusCode::kNotFound) break;
    }
    ended_ = true;
    if (!status.ok() && status.code() != StatusCode::kNotFound) return status;
    const SteadyTime end = std::chrono::steady_clock::now() + kEndsWithin;
    while (!IsTerminal(Look().state) && std::chrono::steady_clock::now() < end) {
      poll(nullptr, 0, static_cast<int>(kStep.count()));
    }
    return OkStatus();
  }

 private:
  SchedulerAdapter& adapter_;
  const std::string id_;
  JobStatus status_;
  bool ended_ = false;
};

JobSpec TestSpec(const ClientConfig& config, const std::string& directory, bool gpu) {
  JobRequest request;
  const PolicySection policy = config.policy.value_or(PolicySection());
  for (const auto& [name, path] : policy.models) request.paths.push_back(path);
  for (const auto& [name, path] : policy.data) request.paths.push_back(path);
  // Of no daemon's jobs: those begin with eight hexadecimal digits.
  request.name = "trib-doctor." + Sha256Of(directory).ToHex().substr(0, 12);
  request.directory = directory;
  request.state = directory;
  request.walltime = std::min(kWalltime, policy.max_walltime);
  JobSection job = config.job;
  job.trainer = {"/bin/sh",
                 "-c",
                 kProgram,
                 "sh",
                 directory,
                 gpu ? "gpu" : "none",
                 std::to_string(request.paths.size())};
  job.trainer.insert(job.trainer.end(), request.paths.begin(), request.paths.end());
  return MakeJob(job, request);
}

// What the processes of the job have written.
struct Seen {
  std::set<std::string> hosts, unreadable;
  std::map<std::string, std::vector<std::string>> gpus;  // by host
  std::string tool;
  int tool_status = 0;
  std::int64_t processes = 0;
};

void ReadSeen(const std::string& text, Seen* seen) {
  std::istringstream stream(text);
  std::string line, host;
  std::vector<std::string> gpus;
  while (std::getline(stream, line)) {
    const std::size_t space = std::min(line.find(' '), line.size() - 1);
    const std::string word = line.substr(0, space);
    const std::string rest = Excerpt(line.substr(std::min(space + 1, line.size())), kShown);
    if (word == "host") host = rest;
    if (word == "unreadable") seen->unreadable.insert(rest);
    if (word == "gpu") gpus.push_back(rest);
    if (word == "tool") {
      seen->tool = rest.substr(0, rest.find(' '));
      seen->tool_status = rest.ends_with(" 0") ? 0 : 1;
    }
  }
  ++seen->processes;
  seen->hosts.insert(host);
  if (!gpus.empty()) seen->gpus[host] = std::move(gpus);
}

Seen LookFor(const std::string& directory) {
  Seen seen;
  const auto names = ListDirectory(directory);
  for (const std::string& name : names.ok() ? *names : std::vector<std::string>()) {
    if (!name.starts_with("seen.") || name.ends_with(".part")) continue;
    const auto text = ReadFile(JoinPath(directory, name), kMaxSeenBytes);
    if (text.ok() && !text->empty()) ReadSeen(*text, &seen);
  }
  return seen;
}

template <typename Texts>
std::string Joined(const Texts& texts) {
  std::string joined;
  for (const std::string& text : texts) joined += (joined.empty() ? "" : ", ") + text;
  return Excerpt(joined, kShown);
}

// Of what rocm-smi and xpu-smi print, the lines with names.
std::vector<std::string> GpuNames(const Seen& seen, const std::vector<std::string>& lines) {
  if (seen.tool == "nvidia-smi") return lines;
  std::vector<std::string> names;
  for (const std::string& line : lines) {
    for (const std::string_view word : {"Card series", "Card Series", "Device Name"}) {
      if (line.find(word) != std::string::npos) names.push_back(line);
    }
  }
  return names.empty() ? lines : names;
}

Checks JudgeGpus(const ClientConfig& config, const Seen& seen) {
  const std::string name = "GPU";
  const std::string advice =
      "ask for GPUs with job.gpus or job.directives, and load their tools with job.modules; a "
      "container needs --nv or --rocm";
  if (seen.tool.empty()) {
    return {
        Failed(name, Joined(seen.hosts) + ": neither nvidia-smi, rocm-smi nor xpu-smi", advice)};
  }
  Checks checks;
  for (const auto& [host, lines] : seen.gpus) {
    const std::vector<std::string> names = GpuNames(seen, lines);
    const std::string found = host + ", " + seen.tool + ": " + Joined(names);
    const bool fewer =
        seen.tool == "nvidia-smi" && names.size() < static_cast<std::size_t>(config.job.gpus);
    if (seen.tool_status != 0) {
      checks.push_back(Failed(name, found, advice));
    } else if (fewer) {
      checks.push_back(Warned(name, found + "; job.gpus is " + std::to_string(config.job.gpus),
                              "correct job.gpus or job.directives"));
    } else {
      checks.push_back(Passed(name, found));
    }
  }
  if (checks.empty()) checks.push_back(Failed(name, seen.tool + " lists none", advice));
  return checks;
}

std::string ErrorTail(const std::string& directory) {
  const auto tail = ReadFileTail(directory + "/job.err", kShown);
  return tail.ok() && !tail->empty() ? "; job.err: " + Excerpt(*tail, kShown) : "";
}

std::string StateText(const JobStatus& status) {
  return std::string(JobStateName(status.state)) +
         (status.message.empty() ? "" : ": " + Excerpt(status.message, kShown));
}

Check JudgeWait(TestJob& job, bool told_to_stop, std::chrono::seconds limit) {
  const std::string state = StateText(job.status());
  const bool waits =
      job.status().state == JobState::kQueued || job.status().state == JobState::kHeld;
  const Status ended = job.End();
  std::string found = "job " + job.id() + " " + state + "; ";
  found += told_to_stop ? "interrupted" : "no end within " + std::to_string(limit.count()) + " s";
  if (!ended.ok()) {
    return Failed("job", found + "; it cannot be cancelled: " + ended.message(),
                  "cancel job " + job.id() + " by hand");
  }
  found += "; cancelled";
  if (told_to_stop) return Failed("job", found, "run doctor again when there is time");
  if (!waits) return Failed("job", found, "look at the nodes of this queue");
  return Warned("job", found, "wait longer with --job-limit, or try when the queue is shorter");
}

Checks JudgeEnd(const ClientConfig& config, const TestJob& job, const std::string& directory,
                const TestJobOptions& options) {
  const std::string name = "job";
  const JobStatus& status = job.status();
  if (status.state != JobState::kCompleted) {
    return {
        Failed(name, "job " + job.id() + " " + StateText(status) + ErrorTail(directory),
               "correct job.modules, job.setup, job.launcher or job.container; `tributary-client "
               "render` prints the script")};
  }
  Seen seen = LookFor(directory);
  const SteadyTime end = std::chrono::steady_clock::now() + kSeenWithin;
  const std::int64_t expected = config.job.nodes * CountLaunched(config.job).tasks;
  while (seen.processes < expected && std::chrono::steady_clock::now() < end &&
         Pause(kStep, options.keep_going)) {
    seen = LookFor(directory);
  }
  if (seen.hosts.empty()) {
    return {Failed(name,
                   "job " + job.id() + " ended well, but what it wrote is not in " + directory,
                   "move workspace to a file system that the nodes and this machine share")};
  }
  const std::string processes = std::to_string(seen.processes) + " processes";
  Checks checks = {Passed(name, "job " + job.id() + " ran on " + Joined(seen.hosts) +
                                    (seen.processes > 1 ? " as " + processes : "") +
                                    " and wrote into the workspace")};
  if (!config.job.launcher.empty() && seen.processes != expected) {
    checks.push_back(Warned("job processes",
                            processes + " wrote; job.launcher says " + std::to_string(expected),
                            "correct job.launcher, job.nodes or job.directives: each process has "
                            "its share of job.cpus"));
  }
  if (!seen.unreadable.empty()) {
    checks.push_back(Failed("job paths", "the job cannot read " + Joined(seen.unreadable),
                            "move them to a file system that the nodes see"));
  }
  if (options.gpu) {
    const Checks gpus = JudgeGpus(config, seen);
    checks.insert(checks.end(), gpus.begin(), gpus.end());
  }
  return checks;
}

Check JudgeSubmission(SchedulerAdapter& adapter, const JobSpec& spec, const Status& status) {
  const std::string found = "cannot be submitted: " + status.message();
  if (status.code() == StatusCode::kInvalidArgument) {
    return Failed("job", found, "correct what the scheduler names");
  }
  // It may have been taken all the same.
  const auto id = adapter.Find(spec.name);
  if (id.ok() && *id && TestJob(adapter, **id).End().ok()) {
    return Failed("job", found + "; it was cancelled", "try again");
  }
  return Failed("job", found, "try again; should a job " + spec.name + " appear, cancel it");
}

}  // namespace

Checks CheckScheduler(const ClientConfig& config, SchedulerAdapter& adapter) {
  const auto version = adapter.Version();
  if (!version.ok()) {
    return {Failed("scheduler", version.status().message(),
                   "is it up? are its commands in the PATH of the daemon, or in "
                   "scheduler.command_directory?"),
            Skipped("queue", "the scheduler does not answer")};
  }
  return {Passed("scheduler", *version), CheckAcceptance(config, adapter)};
}

Checks CheckByJob(const ClientConfig& config, SchedulerAdapter& adapter,
                  const TestJobOptions& options, const Progress& progress) {
  const auto scratch =
      TemporaryDirectory::CreateIn(ExistingPart(config.workspace), ".tributary-doctor-");
  if (!scratch.ok()) {
    return {Failed("job", scratch.status().message(), "the workspace must be writable first")};
  }
  const JobSpec spec = TestSpec(config, scratch->path(), options.gpu);
  const auto id = adapter.Submit(spec);
  if (!id.ok()) return {JudgeSubmission(adapter, spec, id.status())};
  TestJob job(adapter, *id);
  const SteadyTime end = std::chrono::steady_clock::now() + options.limit;
  SteadyTime say = std::chrono::steady_clock::now();
  const auto poll_interval = options.poll.count() > 0 ? options.poll : config.job.poll_interval;
  while (!IsTerminal(job.Look().state)) {
    const SteadyTime now = std::chrono::steady_clock::now();
    if (now >= say) {
      progress("job " + *id + ": " + StateText(job.status()));
      say = now + kSayEvery;
    }
    if (now >= end) return {JudgeWait(job, false, options.limit)};
    if (!Pause(poll_interval, options.keep_going)) return {JudgeWait(job, true, options.limit)};
  }
  return JudgeEnd(config, job, scratch->path(), options);
}

}  // namespace tributary::client

// What Slurm's commands print, as values. Pure functions; the forms are those of Slurm 20.11 to
// 26.05, asked for column by column because defaults, truncation and JSON differ between versions.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "core/status.h"
#include "scheduler_adapters/scheduler_adapter.h"

namespace tributary::scheduler_adapters {

// Cuts a text that comes in pieces into lines, in constant memory: what a line has beyond
// `kMaxLine` bytes is dropped.
class LineSplitter {
 public:
  static constexpr std::size_t kMaxLine = 4096;
  using Line = std::function<void(std::string_view)>;

  explicit LineSplitter(Line line) : line_(std::move(line)) {}
  void Feed(std::string_view piece);
  void Finish();  // hands over a last line without an end

 private:
  void Append(std::string_view text);

  const Line line_;
  std::string held_;
};

// What Slurm's word for a state, and the reason beside it, mean: a full word, its letters, one cut
// off with '+', one with a suffix ("CANCELLED by 0"), or a list (["RUNNING","COMPLETING"]). A word
// that is not known is kUnknown.
//
// A job that is still ending (COMPLETING) is running: it may yet go back into the queue.
JobState SlurmJobState(std::string_view word, std::string_view reason);

// The argument of `squeue -O`: columns of fixed width, which every version can print and which hold
// whatever a job's name or reason holds.
std::string SqueueColumns();

struct SqueueJob {
  std::string name;
  JobStatus status;                         // usage of this incarnation only
  std::optional<Timestamp> expected_start;  // while it waits
};
// Nothing for a line that is no job of ours: an array's, a heading.
std::optional<SqueueJob> ParseSqueueLine(std::string_view line);

// The argument of `sacct -o`, for -P.
inline constexpr std::string_view kSacctColumns =
    "JobIDRaw,State,ExitCode,Submit,Start,End,ElapsedRaw,AllocNodes,AllocCPUS,AllocTRES,JobName";

struct SacctJob {
  std::string name;
  JobStatus status;
  std::chrono::seconds last_elapsed{0};  // of the last incarnation alone
};
std::optional<SacctJob> ParseSacctLine(std::string_view line);

// Makes one job of its incarnations (`sacct -D`), given one by one in any order: the state of the
// last, the time of all. An id that Slurm gave out again, to a job of another name, starts anew.
class SacctJobs {
 public:
  void Add(const SacctJob& incarnation);
  const std::map<std::string, SacctJob>& jobs() const { return jobs_; }

 private:
  std::map<std::string, SacctJob> jobs_;
};

// A job's id: its number, "135", and where the site's directives choose a cluster, that cluster,
// without which the number says nothing: "136;gpu", as `sbatch --parsable` prints it.
bool IsSlurmJobId(std::string_view id);

// The cluster that sbatch options choose, "--clusters=gpu" or "-M gpu"; empty when none does.
std::string ClusterIn(std::span<const std::string> directives);

// What may be the id in what `sbatch --parsable` printed, "135" or "136;cluster", perhaps among a
// site's own words: lines that look like one, the last first.
std::vector<std::string> ParseSubmittedIds(std::string_view output);

// From the error output of `sbatch --test-only`.
std::optional<Timestamp> ParseTestOnlyStart(std::string_view errors);

// The number in "slurm 24.11.5" or "slurm-wlm 22.05.8".
std::optional<std::string> ParseSlurmVersion(std::string_view output);

// Whether `scontrol ping` found a controller that answers.
bool SomeControllerIsUp(std::string_view ping);

// Whether a command failed because Slurm does not know the job.
bool SaysUnknownJob(std::string_view errors);

// Why sbatch took no script.
enum class SbatchTrouble : std::uint8_t {
  kRefused,      // this script never
  kNotNow,       // another time: limits on queued jobs, nodes or a partition that are down
  kUnreachable,  // Slurm could not be asked, or the words are not sbatch's own
};
SbatchTrouble SbatchTroubleIn(std::string_view errors);

// "7:0", "0:9", or the wait status that squeue prints for it ("1792"): 128 + number for a signal,
// nothing for what is neither (Slurm's own codes above the signals, or a launch that failed).
std::optional<int> ParseSlurmExit(std::string_view text);

// "1-02:03:04", "03:04".
std::optional<std::chrono::seconds> ParseSlurmDuration(std::string_view text);

// A value inside a #SBATCH line.
std::string SbatchQuote(std::string_view value);

}  // namespace tributary::scheduler_adapters

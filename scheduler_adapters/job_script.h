// The batch script of a job, and the marks that it leaves in the job's working directory.
//
// The script runs the job's command at most once under a job's name, whatever the scheduler does:
// it first claims the name for its own job id. A second job of that name ends at once with
// kClaimedExit; another incarnation of the same job (a requeue) goes on. Times and the exit code
// lie in the marks, so they are known also where the scheduler forgets.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/clock.h"
#include "scheduler_adapters/scheduler_adapter.h"

namespace tributary::scheduler_adapters {

inline constexpr int kClaimedExit = 75;
inline constexpr int kSetupFailedExit = 78;

// What a batch system adds to a script.
struct ScriptHead {
  std::vector<std::string> directives;  // whole lines: "#SBATCH --nodes=1"
  std::string job_id_variable;          // "SLURM_JOB_ID"
  // The script itself warns the command `warning_before` its walltime ends, counted from its start;
  // otherwise the scheduler sends SIGUSR1 to the script.
  bool own_timer = false;
  std::vector<std::string> opening = {};  // shell lines before the job's environment is set
  std::string job_id_suffix = {};         // what ids have after the variable
};

// Bash, a login shell where there is a prologue. Every value of the spec is quoted, but the
// prologue, which is the site's own shell text; when one of its lines fails, the job ends with
// kSetupFailedExit and says which. SIGTERM and SIGUSR1 reach the command as the spec's warning
// signal.
std::string RenderJobScript(const JobSpec& spec, const ScriptHead& head);

// One word of a shell, whatever it holds.
std::string ShellQuote(std::string_view text);

// What the script of the job of this name has left so far.
struct JobMarks {
  std::string claimed_by;  // job id; empty: never started
  int starts = 0;
  std::optional<Timestamp> started;  // the last incarnation
  std::optional<Timestamp> ended;
  std::optional<int> exit_code;  // with `ended`
  // The last incarnation was sent SIGTERM: when, how long it had run, of how long a walltime.
  std::optional<Timestamp> told;
  std::chrono::seconds ran_until_told{0}, walltime{0};
};
JobMarks ReadJobMarks(const std::string& working_directory, std::string_view name);

}  // namespace tributary::scheduler_adapters

// A real Slurm cluster of this machine's programs, in a directory that goes with the object: no
// service, no cgroups, no database of the system, nothing outside the directory. Nodes are slurmd
// processes on ports of their own, so clusters can run beside each other.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/files.h"
#include "core/status.h"

namespace tributary::integration {

// The exit status of a test program that ctest counts as skipped.
inline constexpr int kSkipped = 77;

// Polls until the condition holds; false after the limit, which only a broken test reaches.
bool WaitUntil(const std::function<bool()>& condition,
               std::chrono::seconds limit = std::chrono::seconds(120));

struct SlurmClusterOptions {
  int nodes = 2;            // n1, n2, ...: 8 CPUs and 2 GPUs each, which need not exist
  bool accounting = false;  // slurmdbd over a database of its own
  std::chrono::seconds min_job_age{300};  // how long the controller remembers ended jobs
};

// Partitions: "debug", the default; "short", at most one minute; "low-cancel" and "low-requeue",
// which give way to "high". One process at a time speaks to one cluster: Start sets SLURM_CONF.
// One thread.
class SlurmCluster {
 public:
  // The programs that this machine lacks; empty when a cluster can be started.
  static std::string MissingPrograms(bool accounting);
  // Where a program is, in the PATH or among the daemons; empty when it is not here.
  static std::string ProgramPath(const std::string& name);
  static Result<std::unique_ptr<SlurmCluster>> Start(const SlurmClusterOptions& options);
  ~SlurmCluster();
  SlurmCluster(const SlurmCluster&) = delete;
  SlurmCluster& operator=(const SlurmCluster&) = delete;

  const std::string& directory() const { return directory_.path(); }

  // A command of Slurm's, as the administrator; what it printed on both outputs.
  Result<std::string> Command(const std::vector<std::string>& command) const;

  // "slurmctld", "slurmdbd", "slurmd-n1", ... Kill is SIGKILL; Begin starts it again on the same
  // files and waits until it answers.
  void Kill(const std::string& daemon);
  Status Begin(const std::string& daemon);
  void Freeze(const std::string& daemon) const;
  void Thaw(const std::string& daemon) const;

  // Waits until the controller has written the present state of its jobs to its disk: what
  // happened before survives its death.
  bool AwaitSavedState() const;
  // Lets a running job's time be over; the controller notices within half a minute.
  void EndTimeNow(const std::string& job) const;

 private:
  SlurmCluster(const SlurmClusterOptions& options, TemporaryDirectory directory)
      : options_(options), directory_(std::move(directory)) {}

  std::string In(const std::string& name) const { return JoinPath(directory(), name); }
  Status WriteConfiguration();
  Status StartAll();
  Status StartDatabase();
  Status Spawn(const std::string& name, const std::vector<std::string>& command);
  Status Await(const std::string& daemon) const;
  std::string Logs() const;
  void Stop(const std::string& daemon, std::chrono::seconds patience);
  void KillStrays() const;

  const SlurmClusterOptions options_;
  TemporaryDirectory directory_;
  std::string cluster_name_;
  int controller_port_ = 0, database_port_ = 0, sql_port_ = 0;
  std::map<std::string, pid_t> daemons_;
};

}  // namespace tributary::integration

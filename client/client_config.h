// The site's file; see configs/client.yaml for a commented example.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/config.h"
#include "core/log.h"
#include "core/status.h"
#include "core/warning_time.h"
#include "scheduler_adapters/scheduler_adapter.h"

namespace tributary::client {

struct TlsSection {
  std::string ca = "ca.crt";
  std::string certificate = "member.crt";
  std::string key = "member.key";
  void Describe(ConfigVisitor& v);
};

// A container that the trainer runs in.
struct ContainerSection {
  std::string image;
  // Put before the image: the runtime and its options. The task's directory, model and data are
  // bound with --bind.
  std::vector<std::string> command = {"apptainer", "exec"};
  std::vector<std::string> binds;  // further ones: "/scratch", "/src:/dst:ro"
  void Describe(ConfigVisitor& v);
};

// Tasks run inside jobs that stay; see scheduler_adapters/pilot_adapter.h.
struct PilotSection {
  std::string directory;                    // empty: DefaultPilotDirectory()
  std::chrono::seconds walltime{4 * 3600};  // of a pilot's job; 0: no limit of ours
  std::chrono::seconds idle_timeout{300};
  std::chrono::seconds successor_before{600};
  std::int64_t max_pilots = 1;                    // each may have a successor in the queue
  std::chrono::milliseconds poll_interval{2000};  // of the pilots, for tasks
  void Describe(ConfigVisitor& v);
};

// How a task becomes a job. All of it is the site's own; a campaign adds names and numbers only.
struct JobSection {
  std::vector<std::string> trainer;  // argument vector; "train|evaluate --task DIR" is appended
  bool inspect = true;               // the trainer is asked, on this machine, what it would refuse
  std::map<std::string, std::string> environment;
  std::vector<std::string> modules;   // "module load" each
  std::vector<std::string> setup;     // shell lines, after the modules
  std::vector<std::string> launcher;  // put before the trainer: {"srun"}, {"mpiexec", "-n", "2"}
  std::optional<ContainerSection> container;
  std::string queue, account;
  std::vector<std::string> directives;  // further arguments of sbatch or qsub
  std::int64_t cpus = 1;                // per node
  std::int64_t gpus = 0;                // per node
  std::int64_t nodes = 1;
  std::int64_t max_concurrent = 2;
  std::chrono::seconds warning_before =
      kDefaultWarningBefore;                 // SIGTERM this long before the walltime ends
  std::int64_t max_attempts = 3;             // jobs of one task, when the earlier lost their node
  std::chrono::seconds stall_timeout{1800};  // without progress while running; 0: never
  std::chrono::milliseconds poll_interval{
      0};                             // of the scheduler; 0: 20 ms for local, 15 s otherwise
  std::optional<PilotSection> pilot;  // absent: each task is a job of its own
  void Describe(ConfigVisitor& v);
};

// The daemon as a job itself, where login nodes let nothing stay (`run --in-job`).
struct DaemonJobSection {
  std::string queue, account;
  std::vector<std::string> directives;
  std::int64_t cpus = 1;
  std::chrono::seconds walltime{24 * 3600};
  std::chrono::seconds successor_before{2 * 3600};
  void Describe(ConfigVisitor& v);
};

// What the site's allocation is counted in, and how much of it campaigns may use.
struct AllocationSection {
  std::string unit = "node-hours";  // node-hours, gpu-hours, core-hours
  double factor = 1;                // service units: the unit times this
  double per_campaign = 0;          // 0: no limit
  double total = 0;                 // of all campaigns together; 0: no limit
  void Describe(ConfigVisitor& v);
};

// What this site allows. A campaign cannot weaken it; without it nothing is allowed.
struct PolicySection {
  std::vector<std::string> campaigns;         // names; "*" at the end matches the rest
  std::vector<std::string> leads;             // likewise
  std::map<std::string, std::string> models;  // name -> directory
  std::map<std::string, std::string> data;    // name -> JSONL file
  std::vector<std::string> metrics = {"loss/*", "perplexity/*"};  // that may leave
  std::chrono::seconds max_walltime{3600};
  std::int64_t max_steps = 10000;
  std::int64_t error_tail = 300;  // characters of a failed job's error file that may leave
  ByteSize max_update{std::uint64_t{1} << 30};
  void Describe(ConfigVisitor& v);
};

struct ClientConfig {
  std::string server;  // host:port
  std::string
      server_name;  // expected in the server's certificate when `server` is an alias or a tunnel
  TlsSection tls;
  std::string state_dir = "state";
  std::string workspace = "work";
  scheduler_adapters::SchedulerOptions scheduler;
  JobSection job;
  std::optional<DaemonJobSection> daemon_job;
  AllocationSection allocation;
  std::optional<PolicySection> policy;
  LogOptions log;

  void Describe(ConfigVisitor& v);
  void Check(ConfigProblems& problems) const;
};

// Where pilots and the daemon meet when the site's file does not say: in the workspace.
std::string DefaultPilotDirectory(const ClientConfig& config);

// Loads the file and resolves relative paths against its directory.
Result<ClientConfig> LoadClientConfig(const std::string& path);

}  // namespace tributary::client

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
#include "scheduler_adapters/scheduler_adapter.h"

namespace tributary::client {

struct TlsSection {
  std::string ca = "ca.crt";
  std::string certificate = "member.crt";
  std::string key = "member.key";
  void Describe(ConfigVisitor& v);
};

// How a task becomes a job.
struct JobSection {
  std::vector<std::string> trainer;  // argument vector; "train|evaluate --task DIR" is appended
  std::map<std::string, std::string> environment;
  std::string queue, account;
  std::int64_t cpus = 1;
  std::int64_t nodes = 1;
  std::int64_t max_concurrent = 2;
  std::chrono::seconds warning_before{30};  // SIGTERM this long before the walltime ends
  std::chrono::milliseconds poll_interval{
      0};  // of the scheduler; 0: 20 ms for local, 15 s otherwise
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
  std::optional<PolicySection> policy;
  LogOptions log;

  void Describe(ConfigVisitor& v);
  void Check(ConfigProblems& problems) const;
};

// Loads the file and resolves relative paths against its directory.
Result<ClientConfig> LoadClientConfig(const std::string& path);

}  // namespace tributary::client

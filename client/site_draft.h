// A site's file as `tributary-client init` writes it: short, with what people change.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace tributary::client {

struct SiteDraft {
  std::string server, server_name;
  std::string adapter = "local", command_directory;
  std::string state_dir = "state", workspace = "work";
  std::vector<std::string> trainer;
  std::string queue, account;
  std::vector<std::string> directives, modules;
  std::int64_t cpus = 1, gpus = 0;
  std::chrono::seconds max_walltime{3600};
  double node_hours = 0;  // 0: no limit
  std::map<std::string, std::string> environment;
  std::map<std::string, std::string> models, data;
  std::vector<std::string> campaigns, leads;
};

// YAML that LoadClientConfig() takes, whatever the texts hold.
std::string SiteFile(const SiteDraft& draft);

}  // namespace tributary::client

// `tributary-client init`: writes a site's file by asking, with what is found on the machine
// offered as answers, and enrolls the site.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "client/questions.h"
#include "core/status.h"
#include "security/token_input.h"

namespace tributary::client {

// What is given is not asked for.
struct InitOptions {
  std::string directory = ".";  // of the site: its file, certificate and key
  bool replace = false;         // a file that is there is kept as client.yaml.before

  std::string server, server_name, ca_fingerprint;
  security::TokenSource token;

  std::string scheduler;          // local, slurm, pbs; empty: what is found
  std::string command_directory;  // of its commands
  std::string queue, account;
  std::vector<std::string> directives, modules;
  std::optional<std::int64_t> cpus, gpus;
  std::string walltime;  // "1h"
  std::optional<double> node_hours;

  std::string state_dir, workspace;
  std::vector<std::string> trainer;
  std::vector<std::string> models, data;  // NAME=PATH
  std::vector<std::string> campaigns, leads;
};

// Writes <directory>/client.yaml (mode 0600), once all questions are answered and the file loads;
// enrolls where there is no certificate and the authority's fingerprint is known. Returns the
// file's path. kAlreadyExists: there is a file, and `replace` was not said.
Result<std::string> Init(const InitOptions& options, Questions& questions);

}  // namespace tributary::client

#include "client/join.h"

#include <unistd.h>

#include <climits>
#include <cstdio>

#include "core/files.h"
#include "security/enroll.h"

namespace tributary::client {
namespace {

// The trainer beside this program.
std::string TrainerPath() {
  char path[PATH_MAX];
  const ssize_t size = readlink("/proc/self/exe", path, sizeof path);
  const std::string self(path, size > 0 ? static_cast<std::size_t>(size) : 0);
  return JoinPath(size > 0 ? DirectoryOf(self) : "/usr/bin", "tributary-trainer");
}

std::string StarterFile(const std::string& server) {
  return "# This site's file. See configs/client.yaml for every key.\n"
         "server: " +
         server +
         "\n"
         "state_dir: state        # the daemon's journal: a local disk\n"
         "workspace: work         # task directories: a file system that jobs see\n"
         "scheduler:\n"
         "  adapter: local\n"
         "job:\n"
         "  trainer: [" +
         TrainerPath() +
         "]\n"
         "  cpus: 1\n"
         "# What this site allows. As it stands: nothing.\n"
         "policy:\n"
         "  campaigns: []         # for example [chem-lora] or [\"*\"]\n"
         "  leads: []\n"
         "  models: {}            # name: directory\n"
         "  data: {}              # name: file.jsonl\n";
}

}  // namespace

Status Join(const JoinOptions& options) {
  TRIBUTARY_ASSIGN_OR_RETURN(
      const auto identity,
      security::Enroll({options.server, options.token, options.ca_fingerprint, options.directory}));
  const std::string file = JoinPath(options.directory, "client.yaml");
  const bool fresh = !PathExists(file);
  if (fresh) TRIBUTARY_RETURN_IF_ERROR(WriteFileAtomic(file, StarterFile(options.server), 0600));
  std::printf("joined federation %s as %s %s\n", identity.federation.c_str(),
              std::string(security::RoleName(identity.role)).c_str(), identity.name.c_str());
  if (fresh) {
    std::printf("next: complete %s (trainer, policy), then run: tributary-client run -c %s\n",
                file.c_str(), file.c_str());
  }
  return OkStatus();
}

}  // namespace tributary::client

#include "client/join.h"

#include <cstdio>
#include <filesystem>

#include "client/client_config.h"
#include "core/child_process.h"
#include "core/config.h"
#include "core/files.h"
#include "core/text.h"
#include "security/enroll.h"

namespace tributary::client {
namespace {

std::string StarterFile(const JoinOptions& options) {
  return "# This site's file. See configs/client.yaml for every key.\n"
         "server: " +
         YamlText(options.server) + "\n" +
         (options.server_name.empty() ? "" : "server_name: " + options.server_name + "\n") +
         "state_dir: state        # the daemon's journal: a local disk\n"
         "workspace: work         # task directories: a file system that jobs see\n"
         "scheduler:\n"
         "  adapter: local\n"
         "job:\n"
         "  trainer: [" +
         JoinPath(ProgramDirectory(), "tributary-trainer") +
         "]\n"
         "  cpus: 1\n"
         "# What this site allows. As it stands: nothing.\n"
         "policy:\n"
         "  campaigns: []         # for example [chem-lora] or [\"*\"]\n"
         "  leads: []\n"
         "  models: {}            # name: directory\n"
         "  data: {}              # name: file.jsonl\n";
}

std::string NameText(const std::string& name) {
  return name.empty() ? "" : " (server_name " + Printable(name) + ")";
}

// A file that was copied from elsewhere, or from configs/sites.
void LookAtFile(const std::string& file, const JoinOptions& options) {
  const auto config = LoadClientConfig(file);
  if (!config.ok()) {
    std::printf("next: complete %s: %s\n", file.c_str(),
                PrintableLines(config.status().message()).c_str());
    return;
  }
  if (config->server != options.server || config->server_name != options.server_name) {
    std::printf("attention: %s names the server %s%s, but this site joined %s%s: correct it\n",
                file.c_str(), Printable(config->server).c_str(),
                NameText(config->server_name).c_str(), Printable(options.server).c_str(),
                NameText(options.server_name).c_str());
  }
  std::error_code ignored;
  const auto place = [&](const std::string& path) {
    return std::filesystem::weakly_canonical(path, ignored);
  };
  if (place(config->tls.certificate) != place(JoinPath(options.directory, "member.crt"))) {
    std::printf("attention: %s names the certificate %s, not the one of this join\n", file.c_str(),
                Printable(config->tls.certificate).c_str());
  }
}

}  // namespace

Status Join(const JoinOptions& options) {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::string token, security::ReadToken(options.token));
  TRIBUTARY_ASSIGN_OR_RETURN(const auto identity,
                             security::Enroll({options.server, token, options.ca_fingerprint,
                                               options.directory, options.server_name}));
  const std::string file = JoinPath(options.directory, "client.yaml");
  const bool fresh = !PathExists(file);
  if (fresh) TRIBUTARY_RETURN_IF_ERROR(WriteFileAtomic(file, StarterFile(options), 0600));
  std::printf("joined federation %s as %s %s\n", identity.federation.c_str(),
              std::string(security::RoleName(identity.role)).c_str(), identity.name.c_str());
  if (fresh) {
    std::printf("next: complete %s (trainer, policy), then run: tributary-client run -c %s\n",
                file.c_str(), file.c_str());
  } else {
    LookAtFile(file, options);
  }
  return OkStatus();
}

}  // namespace tributary::client

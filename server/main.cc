// tributary-server: coordinates campaigns.
#include <malloc.h>
#include <pthread.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>

#include "core/command_line.h"
#include "core/file_limit.h"
#include "core/files.h"
#include "core/log.h"
#include "core/text.h"
#include "core/version.h"
#include "security/grpc_credentials.h"
#include "security/grpc_log.h"
#include "server/rpc_server.h"

namespace tributary::server {
namespace {

constexpr std::uint64_t kFewFiles = 4096;

// Blocks the signals in every thread, so that one sigwait sees them.
sigset_t BlockStopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

Status Run(const ServerConfig& config, const std::string& port_file) {
  const sigset_t signals = BlockStopSignals();
  TRIBUTARY_RETURN_IF_ERROR(StartLogging(config.log));
  TRIBUTARY_ASSIGN_OR_RETURN(const std::uint64_t files, RaiseFileLimit());
  if (files < kFewFiles) {
    LogWarning("server", "few files may be open: each connection takes one",
               {{"limit", files}, {"advice", "raise LimitNOFILE in the unit, or ulimit -Hn"}});
  }
  TRIBUTARY_ASSIGN_OR_RETURN(const auto server, RpcServer::Start(config));
  if (!port_file.empty()) {
    TRIBUTARY_RETURN_IF_ERROR(WriteFileAtomic(port_file, std::to_string(server->port()), 0644));
  }
  int signal = 0;
  sigwait(&signals, &signal);
  return server->health();
}

int Main(int argc, char** argv) {
  // Transfers pass through many of gRPC's threads; an arena for each would keep what they freed.
  mallopt(M_ARENA_MAX, 2);
  security::RequireTls13();
  security::RouteGrpcLog();
  CLI::App app("tributary-server: coordinates federated fine-tuning campaigns");
  std::string config_path = "server.yaml";
  std::string port_file;
  bool check_config = false;
  app.add_option("-c,--config", config_path, "the server's file")->capture_default_str();
  app.add_option("--port-file", port_file, "write the port that was opened to this file");
  app.add_flag("--check-config", check_config, "print the effective configuration and exit");
  app.set_version_flag("--version", kVersion);
  AddSelfDescription(&app, kVersion);
  CLI11_PARSE(app, argc, argv);
  const auto config = LoadServerConfig(config_path);
  Status status = config.status();
  if (status.ok() && check_config) {
    std::fputs(PrintYaml(*config).c_str(), stdout);
    return 0;
  }
  if (status.ok()) status = Run(*config, port_file);
  if (status.ok()) return 0;
  std::fprintf(stderr, "tributary-server: %s\n", PrintableLines(status.message()).c_str());
  return 1;
}

}  // namespace
}  // namespace tributary::server

int main(int argc, char** argv) { return tributary::server::Main(argc, argv); }

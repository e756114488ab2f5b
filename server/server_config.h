// The server's file; see configs/server.yaml for a commented example.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "core/config.h"
#include "core/log.h"
#include "core/status.h"
#include "server/engine.h"

namespace tributary::server {

struct TlsSection {
  std::string ca = "ca.crt";
  std::string ca_key = "ca.key";
  std::string certificate = "server.crt";
  std::string key = "server.key";
  void Describe(ConfigVisitor& v);
};

struct ServerConfig {
  std::string federation;
  std::string listen = "0.0.0.0:8443";
  std::string advertise;  // host:port that sites and people use; empty: as `listen`
  std::string data_dir = "data";
  TlsSection tls;
  std::chrono::seconds heartbeat{20};
  std::int64_t max_concurrent_uploads = 8;
  ByteSize max_upload{std::uint64_t{64} << 30};
  std::chrono::seconds member_certificate_lifetime{365 * 86400};
  std::int64_t worker_threads = 2;
  std::int64_t fold_threads = 2;
  std::int64_t keep_versions = 0;
  std::int64_t keep_every = 0;
  LogOptions log;

  KeepRule Keep() const { return {keep_versions, keep_every}; }

  void Describe(ConfigVisitor& v);
  void Check(ConfigProblems& problems) const;
};

// Loads the file and resolves relative paths against its directory.
Result<ServerConfig> LoadServerConfig(const std::string& path);

}  // namespace tributary::server

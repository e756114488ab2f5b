// The server: all parts, in the order in which they start.
#pragma once

#include <memory>
#include <string>

#include "core/status.h"
#include "server/server_config.h"

namespace tributary::server {

// Start to stop from one thread.
class RpcServer {
 public:
  // Serves when it returns OK.
  static Result<std::unique_ptr<RpcServer>> Start(const ServerConfig& config);
  // Says goodbye to the sites, finishes calls under way for at most ten seconds, journals what is
  // queued, ends.
  ~RpcServer();

  int port() const;  // the real one when the file says port 0
  // Not OK when the server serves nobody any more; it has sent its process SIGTERM then.
  Status health() const;

 private:
  struct Parts;
  explicit RpcServer(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace tributary::server

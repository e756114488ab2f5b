// The journal for one reader, a page at a time: what was not read yet is not in memory.
#pragma once

#include <grpcpp/support/server_callback.h>

#include <functional>
#include <memory>
#include <string>

#include "server/engine_runner.h"
#include "server/worker_pool.h"
#include "tributary/v1/control.pb.h"

namespace tributary::server {

// Streams the events of `campaign` (empty: all). Asks the engine's thread for a page when the one
// before is written, decodes it on a worker, and ends as soon as the reader is gone; in between it
// holds neither. `check` says first, on the engine's thread, whether there is anything to read.
// Keeps `slot` until it ends. Borrowed arguments outlive the call.
grpc::ServerWriteReactor<v1::AuditEntry>* StartAudit(EngineRunner& runner, WorkerPool& workers,
                                                     const std::string& campaign,
                                                     std::function<Status(const State&)> check,
                                                     std::shared_ptr<void> slot);

}  // namespace tributary::server

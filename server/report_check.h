// What a site says about a finished task, before the engine hears of it.
#pragma once

#include <optional>
#include <string>
#include <variant>

#include "core/blob_store.h"
#include "core/status.h"
#include "core/tensor.h"
#include "core/train_directive.h"
#include "server/event.h"
#include "tributary/v1/federation.pb.h"

namespace tributary::server {

// A copy of what the engine knows about the task.
struct ExpectedReport {
  Task task;
  Digest global_digest;  // of the version it was given
  TrainDirective directive = {};
  std::int64_t site_rank = 0;
  double max_update_norm = 0;  // 0: no limit
};

// The update blob is not here, or this one cannot be read: the site must upload it again.
struct Resend {
  std::optional<Digest> damaged = {};
};

// The event that the report amounts to. A report that lies or is damaged becomes TaskFailed with
// the reason: the round goes on. An error only when the server itself cannot judge now (disk
// trouble): the site will repeat. Reads the whole update: not for the engine's thread.
Result<std::variant<Event, Resend>> CheckReport(const v1::TaskReport& report,
                                                const std::string& site,
                                                const std::string& site_certificate_pem,
                                                const ExpectedReport& expected,
                                                const BlobStore& blobs);

}  // namespace tributary::server

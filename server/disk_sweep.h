// Takes back the disk that nothing needs any more: blobs that no campaign names (refused and late
// updates, folds of cancelled campaigns, uploads without a report), parts of uploads that were
// given up, and damaged blobs that nobody looked at.
#pragma once

#include <chrono>

#include "core/blob_store.h"
#include "server/coordinator.h"
#include "server/engine_runner.h"

namespace tributary::server {

struct SweepRules {
  // A blob comes before the report or the event that names it.
  std::chrono::seconds unnamed_blobs{3600};
  std::chrono::seconds parts{7 * 86400};
  std::chrono::seconds quarantine{30 * 86400};
};

// One round. Reads directories and asks the engine what it names; returns before the engine has
// answered. Any thread but the engine's.
void SweepDisk(BlobStore& blobs, EngineRunner& runner, Coordinator& coordinator,
               const SweepRules& rules = {});

}  // namespace tributary::server

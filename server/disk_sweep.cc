#include "server/disk_sweep.h"

#include "core/log.h"

namespace tributary::server {

void SweepDisk(BlobStore& blobs, EngineRunner& runner, Coordinator& coordinator,
               const SweepRules& rules) {
  const Status stale = blobs.RemoveStale(rules.parts, rules.quarantine);
  if (!stale.ok()) LogWarning("server", "old files stay on disk", {{"error", stale}});
  auto old = blobs.OlderThan(rules.unnamed_blobs);
  if (!old.ok()) return LogWarning("server", "blobs cannot be listed", {{"error", old.status()}});
  if (old->empty()) return;
  // The engine's own way to let go of blobs: what it names, or somebody holds, stays.
  runner.Read([&coordinator, old = *std::move(old)](const State& state) {
    coordinator.Perform(RemoveBlobs{old}, state);
  });
}

}  // namespace tributary::server

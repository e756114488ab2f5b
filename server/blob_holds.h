// Blobs that must stay although the engine's state does not name them yet: an update whose report
// is being judged, a version that is being published. Blobs have the name of their content, so what
// one campaign is done with may be what another is about to name.
#pragma once

#include <functional>
#include <memory>
#include <set>

#include "core/mutex.h"
#include "core/sha256.h"

namespace tributary::server {

// Thread-safe. Outlives every Hold.
class BlobHolds {
 public:
  // The blob stays until the last copy is gone. Copies go into std::function, hence shared.
  using Hold = std::shared_ptr<const Digest>;
  [[nodiscard]] Hold Take(const Digest& digest);

  // Runs `remove` if nobody holds the blob; nobody comes to hold it meanwhile.
  void UnlessHeld(const Digest& digest, const std::function<void()>& remove);

 private:
  Mutex mutex_;
  std::multiset<Digest> held_ TRIBUTARY_GUARDED_BY(mutex_);
};

}  // namespace tributary::server

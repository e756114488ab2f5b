#include "server/blob_holds.h"

namespace tributary::server {

BlobHolds::Hold BlobHolds::Take(const Digest& digest) {
  MutexLock lock(mutex_);
  held_.insert(digest);
  return Hold(new Digest(digest), [this](const Digest* held) {
    MutexLock lock(mutex_);
    held_.erase(held_.find(*held));
    delete held;
  });
}

void BlobHolds::UnlessHeld(const Digest& digest, const std::function<void()>& remove) {
  MutexLock lock(mutex_);
  if (!held_.contains(digest)) remove();
}

}  // namespace tributary::server

// How many calls of one kind a member may have open at a time: none can take all there are.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "core/mutex.h"

namespace tributary::server {

// Thread-safe. Slots may outlive the object.
class PeerSlots {
 public:
  explicit PeerSlots(int limit) : limit_(limit) {}

  // Free again when the last copy is gone; null when the member has `limit` of them.
  std::shared_ptr<void> Take(const std::string& peer) {
    MutexLock lock(shared_->mutex);
    int& taken = shared_->taken[peer];
    if (taken >= limit_) return nullptr;
    ++taken;
    return {static_cast<void*>(this), [shared = shared_, peer](void*) { shared->Leave(peer); }};
  }

 private:
  struct Shared {
    Mutex mutex;
    std::map<std::string, int> taken TRIBUTARY_GUARDED_BY(mutex);

    void Leave(const std::string& peer) {
      MutexLock lock(mutex);
      const auto it = taken.find(peer);
      if (--it->second == 0) taken.erase(it);
    }
  };

  const int limit_;
  const std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
};

}  // namespace tributary::server

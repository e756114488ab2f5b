// Ends transfers that hold their place but do not move.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <thread>

#include "core/mutex.h"

namespace tributary::server {

// Looks at every transfer once per `period`, and cancels one that moved fewer than `least_bytes`
// since the last look, or fewer than `fair_bytes` while others wait for its place. It may come back
// and goes on where it was, after the others. Thread-safe.
class StallWatch {
 public:
  class Transfer {
   public:
    ~Transfer();
    Transfer(const Transfer&) = delete;
    Transfer& operator=(const Transfer&) = delete;
    void Moved(std::uint64_t bytes) { moved_ += bytes; }

   private:
    friend class StallWatch;
    Transfer(StallWatch& watch, std::string what, std::function<bool()> contested,
             std::function<void()> cancel)
        : watch_(watch),
          what_(std::move(what)),
          contested_(std::move(contested)),
          cancel_(std::move(cancel)) {}
    StallWatch& watch_;
    const std::string what_;
    const std::function<bool()> contested_;
    const std::function<void()> cancel_;
    std::atomic<std::uint64_t> moved_{0};
    bool seen_ = false;  // by a look before; guarded by the watch's mutex
  };

  StallWatch(std::chrono::milliseconds period, std::uint64_t least_bytes, std::uint64_t fair_bytes);
  ~StallWatch();

  // Watched until the returned object goes. `contested` says whether others wait. `cancel` may be
  // called more than once. Both are called from the watch's thread, and must not wait.
  std::unique_ptr<Transfer> Watch(std::string what, std::function<bool()> contested,
                                  std::function<void()> cancel);

 private:
  void Loop();
  void Look() TRIBUTARY_REQUIRES(mutex_);

  const std::chrono::milliseconds period_;
  const std::uint64_t least_bytes_, fair_bytes_;
  Mutex mutex_;
  CondVar wake_;
  bool stopping_ TRIBUTARY_GUARDED_BY(mutex_) = false;
  std::set<Transfer*> transfers_ TRIBUTARY_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace tributary::server

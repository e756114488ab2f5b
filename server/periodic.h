// Something that is done again and again, on a thread of its own.
#pragma once

#include <chrono>
#include <functional>
#include <thread>

#include "core/mutex.h"

namespace tributary::server {

// Calls `work` once per `interval`, the first time after one, until it is destroyed; waits for the
// call under way then.
class Periodic {
 public:
  Periodic(std::chrono::milliseconds interval, std::function<void()> work);
  ~Periodic();

 private:
  void Loop();

  const std::chrono::milliseconds interval_;
  const std::function<void()> work_;
  Mutex mutex_;
  CondVar wake_;
  bool stopping_ TRIBUTARY_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace tributary::server

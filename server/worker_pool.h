// A few threads for work that must not run on the engine's thread or in an RPC callback: hashing,
// folding, fsync.
#pragma once

#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "core/mutex.h"

namespace tributary::server {

// Thread-safe.
class WorkerPool {
 public:
  explicit WorkerPool(int threads);
  ~WorkerPool();  // finishes what is queued

  void Submit(std::function<void()> work);

 private:
  void Loop();

  Mutex mutex_;
  CondVar wake_;
  std::deque<std::function<void()>> queue_ TRIBUTARY_GUARDED_BY(mutex_);
  bool stopping_ TRIBUTARY_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

// Lets at most `limit` holders in at a time; the others wait in order without blocking a thread.
// Thread-safe.
class AdmissionGate {
 public:
  explicit AdmissionGate(int limit) : free_(limit) {}

  // Calls `enter` now or when a holder leaves; each call is followed by one Leave().
  void Enter(std::function<void()> enter);
  void Leave();

 private:
  Mutex mutex_;
  int free_ TRIBUTARY_GUARDED_BY(mutex_);
  std::deque<std::function<void()>> waiting_ TRIBUTARY_GUARDED_BY(mutex_);
};

}  // namespace tributary::server

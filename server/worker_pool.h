// A few threads for work that must not run on the engine's thread or in an RPC callback: hashing,
// folding, fsync.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "core/mutex.h"
#include "core/status.h"

namespace tributary::server {

// One lane: what waits in it waits for nothing in another one. Work that throws is logged, and the
// thread goes on. Thread-safe.
class WorkerPool {
 public:
  // `name` is for messages. At most `longest` pieces of work wait.
  explicit WorkerPool(int threads, std::string name = "workers",
                      std::size_t longest = std::numeric_limits<std::size_t>::max());
  ~WorkerPool();  // finishes what is queued

  // For work that this server orders itself, which something else bounds: always taken.
  void Submit(std::function<void()> work);
  // For work that peers order: resource exhausted when too much waits.
  [[nodiscard]] Status TrySubmit(std::function<void()> work);
  // What waits is never begun.
  void DropQueued();

 private:
  void Loop();

  const std::string name_;
  const std::size_t longest_;
  Mutex mutex_;
  CondVar wake_;
  std::deque<std::function<void()>> queue_ TRIBUTARY_GUARDED_BY(mutex_);
  bool stopping_ TRIBUTARY_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace tributary::server

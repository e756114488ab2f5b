#include "server/worker_pool.h"

#include "core/catch_all.h"
#include "core/log.h"

namespace tributary::server {

WorkerPool::WorkerPool(int threads, std::string name, std::size_t longest)
    : name_(std::move(name)), longest_(longest) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Loop(); });
}

WorkerPool::~WorkerPool() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  wake_.NotifyAll();
  for (std::thread& thread : threads_) thread.join();
}

void WorkerPool::Submit(std::function<void()> work) {
  {
    MutexLock lock(mutex_);
    queue_.push_back(std::move(work));
  }
  wake_.NotifyOne();
}

Status WorkerPool::TrySubmit(std::function<void()> work) {
  {
    MutexLock lock(mutex_);
    if (queue_.size() >= longest_) {
      return ResourceExhaustedError("the server is busy: " + std::to_string(queue_.size()) +
                                    " calls wait for its " + name_ + "; try again in a minute");
    }
    queue_.push_back(std::move(work));
  }
  wake_.NotifyOne();
  return OkStatus();
}

void WorkerPool::DropQueued() {
  std::deque<std::function<void()>> dropped;  // destroyed without the lock
  MutexLock lock(mutex_);
  dropped.swap(queue_);
}

void WorkerPool::Loop() {
  while (true) {
    std::function<void()> work;
    {
      MutexLock lock(mutex_);
      while (queue_.empty() && !stopping_) wake_.Wait(mutex_);
      if (queue_.empty()) return;
      work = std::move(queue_.front());
      queue_.pop_front();
    }
    const Status status = CatchAll("work", [&] {
      work();
      return OkStatus();
    });
    if (!status.ok()) {
      LogError("server", "a piece of work ended early", {{"lane", name_}, {"reason", status}});
    }
  }
}

}  // namespace tributary::server

#include "server/stall_watch.h"

#include "core/log.h"

namespace tributary::server {

StallWatch::Transfer::~Transfer() {
  MutexLock lock(watch_.mutex_);
  watch_.transfers_.erase(this);
}

StallWatch::StallWatch(std::chrono::milliseconds period, std::uint64_t least_bytes,
                       std::uint64_t fair_bytes)
    : period_(period),
      least_bytes_(least_bytes),
      fair_bytes_(fair_bytes),
      thread_([this] { Loop(); }) {}

StallWatch::~StallWatch() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  wake_.NotifyAll();
  thread_.join();
}

std::unique_ptr<StallWatch::Transfer> StallWatch::Watch(std::string what,
                                                        std::function<bool()> contested,
                                                        std::function<void()> cancel) {
  std::unique_ptr<Transfer> transfer(
      new Transfer(*this, std::move(what), std::move(contested), std::move(cancel)));
  MutexLock lock(mutex_);
  transfers_.insert(transfer.get());
  return transfer;
}

void StallWatch::Loop() {
  MutexLock lock(mutex_);
  auto next = std::chrono::steady_clock::now() + period_;
  while (!stopping_) {
    wake_.WaitUntil(mutex_, next);
    if (std::chrono::steady_clock::now() < next) continue;
    Look();
    next += period_;
  }
}

void StallWatch::Look() {
  for (Transfer* transfer : transfers_) {
    const std::uint64_t moved = transfer->moved_.exchange(0);
    // One that began since the last look has not had a whole period.
    const bool stalled = moved < least_bytes_;
    if (transfer->seen_ && (stalled || (moved < fair_bytes_ && transfer->contested_()))) {
      LogWarning("rpc",
                 stalled ? "transfer stalled; cancelled" : "slow transfer makes room; cancelled",
                 {{"what", transfer->what_}, {"bytes_in_period", moved}});
      transfer->cancel_();
    }
    transfer->seen_ = true;
  }
}

}  // namespace tributary::server

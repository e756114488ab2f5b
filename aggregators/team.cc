#include "aggregators/team.h"

#include <algorithm>
#include <atomic>
#include <system_error>
#include <thread>
#include <vector>

#include "core/catch_all.h"

namespace tributary::aggregators {
namespace {

class Team {
 public:
  Team(std::size_t items, std::span<Turns> turns, const TeamTask& task,
       const std::atomic<bool>* stop)
      : items_(items), turns_(turns), task_(task), stop_(stop) {}

  void Work(unsigned thread) {
    for (std::size_t item = next_++; item < items_ && !failed_; item = next_++) {
      const bool stopped = stop_ != nullptr && *stop_;
      const Status status = stopped ? CancelledError("the work was stopped")
                                    : CatchAll("a fold", [&] { return task_(thread, item); });
      if (!status.ok()) Fail(item, status);
    }
  }

  Status Outcome() {
    MutexLock lock(mutex_);
    return first_;
  }

 private:
  void Fail(std::size_t item, const Status& status) {
    failed_ = true;
    {
      MutexLock lock(mutex_);
      // A thread that lost its turn because of another's failure has less to say.
      const bool better = first_.ok() || (first_.code() == StatusCode::kAborted) ||
                          (status.code() != StatusCode::kAborted && item < first_item_);
      if (better) {
        first_ = status;
        first_item_ = item;
      }
    }
    for (Turns& turns : turns_) turns.Abandon();
  }

  const std::size_t items_;
  const std::span<Turns> turns_;
  const TeamTask& task_;
  const std::atomic<bool>* const stop_;
  std::atomic<std::size_t> next_{0};
  std::atomic<bool> failed_{false};
  Mutex mutex_;
  Status first_ TRIBUTARY_GUARDED_BY(mutex_);
  std::size_t first_item_ TRIBUTARY_GUARDED_BY(mutex_) = 0;
};

}  // namespace

bool Turns::Wait(std::size_t item) {
  MutexLock lock(mutex_);
  while (next_ != item && !abandoned_) changed_.Wait(mutex_);
  return !abandoned_;
}

void Turns::Pass() {
  MutexLock lock(mutex_);
  ++next_;
  changed_.NotifyAll();
}

void Turns::Abandon() {
  MutexLock lock(mutex_);
  abandoned_ = true;
  changed_.NotifyAll();
}

Status RunTeam(unsigned threads, std::size_t items, std::span<Turns> turns, const TeamTask& task,
               const std::atomic<bool>* stop) {
  Team team(items, turns, task, stop);
  const std::size_t useful = std::clamp<std::size_t>(threads, 1, std::max<std::size_t>(items, 1));
  std::vector<std::thread> others;
  try {
    for (unsigned i = 1; i < useful; ++i) others.emplace_back([&team, i] { team.Work(i); });
  } catch (const std::system_error&) {
    // The machine has no thread to spare: those that there are do all the work.
  }
  team.Work(0);
  for (std::thread& thread : others) thread.join();
  return team.Outcome();
}

}  // namespace tributary::aggregators

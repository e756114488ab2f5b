// A few threads that work through numbered items, and sections that they pass in the order of the
// numbers.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <limits>
#include <span>

#include "core/mutex.h"
#include "core/status.h"

namespace tributary::aggregators {

// Lets the thread of each item through in the order of the items. Any thread.
class Turns {
 public:
  // Waits until every item before `item` has passed. False when the work was abandoned.
  bool Wait(std::size_t item);
  void Pass();  // by the thread whose turn it is
  void Abandon();

 private:
  Mutex mutex_;
  CondVar changed_;
  std::size_t next_ TRIBUTARY_GUARDED_BY(mutex_) = 0;
  bool abandoned_ TRIBUTARY_GUARDED_BY(mutex_) = false;
};

// Runs task(thread, item) for every item below `items`, on `threads` threads, this one included;
// threads take items in ascending order, so waiting for an earlier item's turn never deadlocks. At
// the first failure no more items are taken and `turns` are abandoned; the failure of the lowest
// item is returned. What a task throws is a failure: resource exhausted for memory. Cancelled when
// `stop` (may be null) becomes true; it is looked at before each item.
using TeamTask = std::function<Status(unsigned thread, std::size_t item)>;
Status RunTeam(unsigned threads, std::size_t items, std::span<Turns> turns, const TeamTask& task,
               const std::atomic<bool>* stop = nullptr);

}  // namespace tributary::aggregators

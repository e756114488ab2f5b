// The writing half of a stream of messages to a peer: a bounded queue in front of a gRPC reactor,
// which takes one message at a time.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <optional>
#include <utility>

#include "core/mutex.h"
#include "core/status.h"
#include "server/caller.h"

namespace tributary::server {

// Thread-safe. Outlives the reactor where somebody still holds it: after the stream has ended
// nothing happens any more. The reactor hands on OnWriteDone to WriteDone.
template <class Reactor, class Message>
class StreamWriter {
 public:
  // A peer that lets `longest` messages wait is cut off: resource exhausted.
  StreamWriter(Reactor* reactor, std::size_t longest) : longest_(longest), reactor_(reactor) {}

  void Write(Message message) {
    MutexLock lock(mutex_);
    if (reactor_ == nullptr || end_) return;
    if (queue_.size() >= longest_) return FinishLocked(ResourceExhaustedError("too slow"));
    queue_.push_back(std::move(message));
    NextLocked();
  }

  // One message waits at most: a second one is put into it by `merge(later, &waiting)`.
  template <class Merge>
  void WriteMerged(Message message, const Merge& merge) {
    MutexLock lock(mutex_);
    if (reactor_ == nullptr || end_) return;
    if (queue_.size() > (writing_ ? 1U : 0U)) {
      merge(message, &queue_.back());
    } else {
      queue_.push_back(std::move(message));
    }
    NextLocked();
  }

  // When all that waits is written.
  void EndAfterQueue(const Status& status) {
    MutexLock lock(mutex_);
    if (!end_) end_ = status;
    NextLocked();
  }
  // Now.
  void End(const Status& status) {
    MutexLock lock(mutex_);
    FinishLocked(status);
  }

  void WriteDone(bool ok) {
    MutexLock lock(mutex_);
    writing_ = false;
    if (!queue_.empty()) queue_.pop_front();
    if (!ok) return FinishLocked(CancelledError("the stream broke"));
    NextLocked();
  }

 private:
  void NextLocked() TRIBUTARY_REQUIRES(mutex_) {
    if (writing_ || reactor_ == nullptr) return;
    if (!queue_.empty()) {
      writing_ = true;
      reactor_->StartWrite(&queue_.front());  // a deque keeps the front in place
    } else if (end_) {
      FinishLocked(*end_);
    }
  }
  // Once: afterwards the reactor is not touched any more.
  void FinishLocked(const Status& status) TRIBUTARY_REQUIRES(mutex_) {
    if (reactor_ != nullptr) std::exchange(reactor_, nullptr)->Finish(ToGrpc(status));
  }

  const std::size_t longest_;
  Mutex mutex_;
  Reactor* reactor_ TRIBUTARY_GUARDED_BY(mutex_);
  std::deque<Message> queue_ TRIBUTARY_GUARDED_BY(mutex_);
  bool writing_ TRIBUTARY_GUARDED_BY(mutex_) = false;
  std::optional<Status> end_ TRIBUTARY_GUARDED_BY(mutex_);
};

}  // namespace tributary::server

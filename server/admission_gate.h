// Who may transfer now: places, given to sites in turn.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <string>

#include "core/mutex.h"
#include "core/status.h"

namespace tributary::server {

// Lets at most `limit` holders in at a time, and of them at most half, rounded up, for one owner,
// so that no owner alone can keep the others out. A place that becomes free goes to the owner among
// those waiting that holds the fewest, and among equals to the one that came first. Waiting blocks
// no thread. Thread-safe.
class AdmissionGate {
 public:
  static constexpr std::size_t kMostWaiting = 64;  // of one owner

  explicit AdmissionGate(int limit) : limit_(limit), share_((limit + 1) / 2) {}

  // Calls `enter` now or when it is the owner's turn; each call is followed by one Leave().
  // Resource exhausted: `enter` is never called, too many of this owner wait.
  [[nodiscard]] Status Enter(const std::string& owner, std::function<void()> enter);
  void Leave(const std::string& owner);
  // Whether somebody waits who would have a place if one were free.
  bool Contested() const;

 private:
  struct Waiting {
    std::string owner;
    std::function<void()> enter;
  };
  using Queue = std::deque<Waiting>;
  int Held(const std::string& owner) const TRIBUTARY_REQUIRES(mutex_);
  bool MayEnter(const std::string& owner) const TRIBUTARY_REQUIRES(mutex_);
  Queue::iterator Next() TRIBUTARY_REQUIRES(mutex_);

  const int limit_;
  const int share_;
  mutable Mutex mutex_;
  int inside_ TRIBUTARY_GUARDED_BY(mutex_) = 0;
  std::map<std::string, int> held_ TRIBUTARY_GUARDED_BY(mutex_);
  Queue waiting_ TRIBUTARY_GUARDED_BY(mutex_);
};

}  // namespace tributary::server

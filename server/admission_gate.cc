#include "server/admission_gate.h"

#include <algorithm>

namespace tributary::server {

int AdmissionGate::Held(const std::string& owner) const {
  const auto it = held_.find(owner);
  return it == held_.end() ? 0 : it->second;
}

bool AdmissionGate::MayEnter(const std::string& owner) const { return Held(owner) < share_; }

Status AdmissionGate::Enter(const std::string& owner, std::function<void()> enter) {
  {
    MutexLock lock(mutex_);
    if (inside_ == limit_ || !MayEnter(owner)) {
      const auto waiting = static_cast<std::size_t>(
          std::count_if(waiting_.begin(), waiting_.end(),
                        [&](const Waiting& other) { return other.owner == owner; }));
      if (waiting >= kMostWaiting) {
        return ResourceExhaustedError(std::to_string(waiting) + " transfers of " + owner +
                                      " wait for their turn; try again in a minute");
      }
      waiting_.push_back({owner, std::move(enter)});
      return OkStatus();
    }
    ++inside_;
    ++held_[owner];
  }
  enter();
  return OkStatus();
}

AdmissionGate::Queue::iterator AdmissionGate::Next() {
  auto next = waiting_.end();
  for (auto it = waiting_.begin(); it != waiting_.end(); ++it) {
    if (!MayEnter(it->owner)) continue;
    if (next == waiting_.end() || Held(it->owner) < Held(next->owner)) next = it;
  }
  return next;
}

void AdmissionGate::Leave(const std::string& owner) {
  std::function<void()> enter;
  {
    MutexLock lock(mutex_);
    --inside_;
    if (--held_[owner] == 0) held_.erase(owner);
    const auto next = Next();
    if (next == waiting_.end()) return;
    ++inside_;
    ++held_[next->owner];
    enter = std::move(next->enter);
    waiting_.erase(next);
  }
  enter();
}

bool AdmissionGate::Contested() const {
  MutexLock lock(mutex_);
  for (const Waiting& waiting : waiting_) {
    if (MayEnter(waiting.owner)) return true;
  }
  return false;
}

}  // namespace tributary::server

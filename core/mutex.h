// A mutex that Clang's thread-safety analysis understands (-Wthread-safety), and what belongs to
// it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

#if defined(__clang__)
#define TRIBUTARY_THREAD_ATTRIBUTE_(x) __attribute__((x))
#else
#define TRIBUTARY_THREAD_ATTRIBUTE_(x)
#endif

#define TRIBUTARY_GUARDED_BY(x) TRIBUTARY_THREAD_ATTRIBUTE_(guarded_by(x))
#define TRIBUTARY_PT_GUARDED_BY(x) TRIBUTARY_THREAD_ATTRIBUTE_(pt_guarded_by(x))
#define TRIBUTARY_REQUIRES(...) TRIBUTARY_THREAD_ATTRIBUTE_(requires_capability(__VA_ARGS__))
#define TRIBUTARY_EXCLUDES(...) TRIBUTARY_THREAD_ATTRIBUTE_(locks_excluded(__VA_ARGS__))
#define TRIBUTARY_ACQUIRE(...) TRIBUTARY_THREAD_ATTRIBUTE_(acquire_capability(__VA_ARGS__))
#define TRIBUTARY_RELEASE(...) TRIBUTARY_THREAD_ATTRIBUTE_(release_capability(__VA_ARGS__))
#define TRIBUTARY_NO_THREAD_SAFETY_ANALYSIS TRIBUTARY_THREAD_ATTRIBUTE_(no_thread_safety_analysis)

namespace tributary {

// Any thread; not recursive.
class TRIBUTARY_THREAD_ATTRIBUTE_(capability("mutex")) Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void Lock() TRIBUTARY_ACQUIRE() { mutex_.lock(); }
  void Unlock() TRIBUTARY_RELEASE() { mutex_.unlock(); }

 private:
  friend class CondVar;
  std::mutex mutex_;
};

// Holds a mutex for a scope.
class TRIBUTARY_THREAD_ATTRIBUTE_(scoped_lockable) MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) TRIBUTARY_ACQUIRE(mutex) : mutex_(mutex) { mutex_.Lock(); }
  ~MutexLock() TRIBUTARY_RELEASE() { mutex_.Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

// Waits for a change of what a mutex guards. Wake-ups may be spurious: wait in a loop over the
// condition, so that the analysis sees the lock that the condition needs:
//   MutexLock lock(mutex_);
//   while (queue_.empty()) not_empty_.Wait(mutex_);
class CondVar {
 public:
  void Wait(Mutex& mutex) TRIBUTARY_REQUIRES(mutex) {
    std::unique_lock<std::mutex> lock(mutex.mutex_, std::adopt_lock);
    condition_.wait(lock);
    lock.release();
  }

  // False when the time passed without a wake-up.
  bool WaitFor(Mutex& mutex, std::chrono::microseconds timeout) TRIBUTARY_REQUIRES(mutex) {
    return WaitUntil(mutex, std::chrono::steady_clock::now() + timeout);
  }
  bool WaitUntil(Mutex& mutex, std::chrono::steady_clock::time_point deadline)
      TRIBUTARY_REQUIRES(mutex) {
    std::unique_lock<std::mutex> lock(mutex.mutex_, std::adopt_lock);
    const std::cv_status status = condition_.wait_until(lock, deadline);
    lock.release();
    return status == std::cv_status::no_timeout;
  }

  void NotifyOne() { condition_.notify_one(); }
  void NotifyAll() { condition_.notify_all(); }

 private:
  std::condition_variable condition_;
};

}  // namespace tributary

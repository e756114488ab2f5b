// How often somebody may do something: a bucket of tokens for each, that fills with time.
#pragma once

#include <chrono>
#include <cstddef>
#include <limits>
#include <map>
#include <string>
#include <string_view>

#include "core/mutex.h"

namespace tributary::server {

struct Rate {
  double per_second = 1;
  double burst = 1;  // at once, by who was quiet for long enough
};

// Thread-safe.
class RateLimit {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // Of more than `most` that are not quiet, the last to come share one bucket: where strangers
  // choose who they are, memory must not grow with them.
  explicit RateLimit(std::size_t most = std::numeric_limits<std::size_t>::max()) : most_(most) {}

  // Whether `who`, who has always the same rate, may do it now.
  bool Admit(std::string_view who, const Rate& rate, Time now);

 private:
  struct Bucket {
    double left = 0;
    Time at;
    Time full;  // who has not come by then is as good as new
  };
  Bucket& BucketOf(std::string_view who, const Rate& rate, Time now) TRIBUTARY_REQUIRES(mutex_);

  const std::size_t most_;
  Mutex mutex_;
  std::map<std::string, Bucket, std::less<>> buckets_ TRIBUTARY_GUARDED_BY(mutex_);
};

}  // namespace tributary::server

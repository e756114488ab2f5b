#include "server/rate_limit.h"

#include <algorithm>

namespace tributary::server {

RateLimit::Bucket& RateLimit::BucketOf(std::string_view who, const Rate& rate, Time now) {
  if (buckets_.size() >= most_ && !buckets_.contains(who)) {
    std::erase_if(buckets_, [&](const auto& entry) { return entry.second.full <= now; });
    if (buckets_.size() >= most_) who = "";  // nobody's name
  }
  const auto it = buckets_.find(who);
  if (it != buckets_.end()) return it->second;
  return buckets_.emplace(std::string(who), Bucket{rate.burst, now, now}).first->second;
}

bool RateLimit::Admit(std::string_view who, const Rate& rate, Time now) {
  using std::chrono::duration;
  MutexLock lock(mutex_);
  Bucket& bucket = BucketOf(who, rate, now);
  const duration<double> passed = now - bucket.at;
  bucket.left = std::min(rate.burst, bucket.left + passed.count() * rate.per_second);
  bucket.at = now;
  const bool admitted = bucket.left >= 1;
  if (admitted) bucket.left -= 1;
  const duration<double> missing((rate.burst - bucket.left) / rate.per_second);
  bucket.full = now + std::chrono::duration_cast<Time::duration>(missing);
  return admitted;
}

}  // namespace tributary::server

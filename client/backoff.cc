#include "client/backoff.h"

#include <algorithm>
#include <random>

namespace tributary::client {

Backoff::Backoff(std::chrono::milliseconds first, std::chrono::milliseconds longest)
    : first_(first), longest_(longest), delay_(first), random_(std::random_device{}()) {}

std::chrono::milliseconds Backoff::Next() {
  random_ = random_ * 6364136223846793005ULL + 1442695040888963407ULL;
  const double share = 0.5 + 0.5 * static_cast<double>(random_ >> 40) / double(1 << 24);
  const auto delay = std::chrono::milliseconds(
      static_cast<std::int64_t>(static_cast<double>(delay_.count()) * share));
  delay_ = std::min(delay_ * 2, longest_);
  return delay;
}

}  // namespace tributary::client

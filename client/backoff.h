// Jittered exponential backoff: so that a hundred sites do not come back in the same second.
#pragma once

#include <chrono>
#include <cstdint>

namespace tributary::client {

// One thread at a time.
class Backoff {
 public:
  Backoff(std::chrono::milliseconds first, std::chrono::milliseconds longest);

  // Half to all of a delay that doubles up to the longest.
  std::chrono::milliseconds Next();
  void Reset() { delay_ = first_; }
  void Stretch() { delay_ = longest_; }  // the next is as long as any

 private:
  const std::chrono::milliseconds first_, longest_;
  std::chrono::milliseconds delay_;
  std::uint64_t random_;
};

}  // namespace tributary::client

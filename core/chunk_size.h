// How much to send in one message: what the link carries in a second or two, so that a slow one is
// seen to move and keeps what it moved, and a fast one has few messages.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace tributary {

// Of one transfer. One thread at a time.
class ChunkSize {
 public:
  static constexpr std::size_t kLeast = std::size_t{16} << 10;
  static constexpr std::size_t kFirst = std::size_t{64} << 10;
  static constexpr std::size_t kMost = std::size_t{1} << 20;
  // Windows and socket buffers take so much at once, whatever the link: it says nothing.
  static constexpr std::uint64_t kBuffered = std::uint64_t{8} << 20;

  std::size_t bytes() const { return bytes_; }
  // After a message of `bytes`, `since_start` after the first one.
  void Sent(std::size_t bytes, std::chrono::duration<double> since_start) {
    sent_ += bytes;
    if (sent_ <= kBuffered) return;
    const double rate =
        static_cast<double>(sent_ - kBuffered) / std::max(1e-6, since_start.count());
    bytes_ = static_cast<std::size_t>(
        std::clamp(2 * rate, static_cast<double>(kLeast), static_cast<double>(kMost)));
  }

 private:
  std::uint64_t sent_ = 0;
  std::size_t bytes_ = kFirst;
};

}  // namespace tributary

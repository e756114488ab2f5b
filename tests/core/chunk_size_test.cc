#include "core/chunk_size.h"

#include <gtest/gtest.h>

namespace tributary {
namespace {

// A link of `rate` bytes a second behind buffers that take the first 8 MiB at once; the sizes of
// the messages of the transfer.
std::vector<std::size_t> Messages(double rate, std::uint64_t total) {
  ChunkSize chunk;
  std::vector<std::size_t> sizes;
  for (std::uint64_t at = 0; at < total;) {
    const std::size_t size = chunk.bytes();
    at += size;
    const double passed =
        at > ChunkSize::kBuffered ? static_cast<double>(at - ChunkSize::kBuffered) : 0;
    chunk.Sent(size, std::chrono::duration<double>(passed / rate));
    sizes.push_back(size);
  }
  return sizes;
}

TEST(ChunkSizeTest, ASlowLinkHasMessagesThatPassWithinSeconds) {
  const double rate = 469.0 * 1024 / 60;  // 469 KiB a minute
  for (const std::size_t size : Messages(rate, std::uint64_t{20} << 20)) {
    EXPECT_LE(static_cast<double>(size) / rate, 10);
    EXPECT_GE(size, ChunkSize::kLeast);
  }
}

TEST(ChunkSizeTest, AFastLinkSoonHasTheLargestMessages) {
  const auto sizes = Messages(1e9, std::uint64_t{64} << 20);
  EXPECT_EQ(sizes.front(), ChunkSize::kFirst);
  EXPECT_EQ(sizes.back(), ChunkSize::kMost);
  EXPECT_LE(sizes.size(), 128 + 60);
}

}  // namespace
}  // namespace tributary

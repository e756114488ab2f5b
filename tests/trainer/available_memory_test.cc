#include "trainer/available_memory.h"

#include <gtest/gtest.h>

#include "core/files.h"

namespace tributary::trainer {
namespace {

class AvailableMemoryTest : public testing::Test {
 protected:
  void Write(const std::string& path, const std::string& text) {
    const std::string whole = JoinPath(directory_.path(), path);
    ASSERT_TRUE(MakeDirectories(DirectoryOf(whole)).ok());
    ASSERT_TRUE(WriteFileAtomic(whole, text).ok());
  }
  std::optional<std::uint64_t> Available() { return AvailableMemory(directory_.path() + "/"); }

  TemporaryDirectory directory_ = std::move(TemporaryDirectory::Create("memory-test")).value();
};

TEST_F(AvailableMemoryTest, IsUnknownWhereTheSystemTellsNothing) {
  EXPECT_FALSE(Available().has_value());
}

TEST_F(AvailableMemoryTest, IsWhatTheSystemHasLeft) {
  Write("proc/meminfo", "MemTotal:  100 kB\nMemAvailable:     7 kB\n");
  EXPECT_EQ(Available(), 7 * 1024U);
}

TEST_F(AvailableMemoryTest, IsWhatAGroupAboveLeaves) {
  Write("proc/meminfo", "MemAvailable: 1000000 kB\n");
  Write("proc/self/cgroup", "0::/job/step\n");
  Write("sys/fs/cgroup/job/step/memory.max", "max\n");
  Write("sys/fs/cgroup/job/step/memory.current", "500\n");
  Write("sys/fs/cgroup/job/memory.max", "5000\n");
  Write("sys/fs/cgroup/job/memory.current", "3000\n");
  Write("sys/fs/cgroup/job/memory.stat", "anon 2000\ninactive_file 1000\n");
  EXPECT_EQ(Available(), 3000U);
}

TEST_F(AvailableMemoryTest, ReadsTheFirstVersionOfGroupsAlsoFromInsideAContainer) {
  Write("proc/meminfo", "MemAvailable: 1000000 kB\n");
  Write("proc/self/cgroup", "4:cpu,cpuacct:/x\n3:memory:/docker/abc\n");
  Write("sys/fs/cgroup/memory/memory.limit_in_bytes", "4000\n");
  Write("sys/fs/cgroup/memory/memory.usage_in_bytes", "5000\n");
  EXPECT_EQ(Available(), 0U);
}

}  // namespace
}  // namespace tributary::trainer

#include "scheduler_adapters/cpu_share.h"

#include <gtest/gtest.h>

#include <map>
#include <vector>

namespace tributary::scheduler_adapters {
namespace {

class CpuShareTest : public testing::Test {
 protected:
  CpuShareTest() {
    CPU_ZERO(&allowed_);
    for (const int cpu : {1, 3, 4, 9}) CPU_SET(cpu, &allowed_);
  }
  CpuShare Choose(std::int64_t count, const std::string& name) {
    return CpuShare::Choose(allowed_, count, name, JoinPath(directory_.path(), "claims"));
  }

  TemporaryDirectory directory_ = *TemporaryDirectory::Create("cpus");
  cpu_set_t allowed_;
};

TEST_F(CpuShareTest, JobsSpreadEvenlyOverTheAllowedCpus) {
  std::vector<CpuShare> shares;
  std::map<int, int> jobs_on;
  for (int job = 0; job < 12; ++job) {
    shares.push_back(Choose(1, "job" + std::to_string(job)));
    EXPECT_EQ(CPU_COUNT(&shares.back().cpus()), 1);
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(cpu, &shares.back().cpus())) ++jobs_on[cpu];
    }
  }
  EXPECT_EQ(jobs_on, (std::map<int, int>{{1, 3}, {3, 3}, {4, 3}, {9, 3}}));
}

TEST_F(CpuShareTest, CpusOfAnEndedJobAreFreeAgain) {
  const CpuShare staying = Choose(2, "staying");
  cpu_set_t first;
  {
    const CpuShare ending = Choose(2, "ending");
    first = ending.cpus();
    cpu_set_t common;
    CPU_AND(&common, &staying.cpus(), &first);
    EXPECT_EQ(CPU_COUNT(&common), 0);
  }
  EXPECT_TRUE(CPU_EQUAL(&Choose(2, "next").cpus(), &first));
}

TEST_F(CpuShareTest, AJobOfAllCpusIsNotLimited) {
  EXPECT_TRUE(CPU_EQUAL(&Choose(4, "a").cpus(), &allowed_));
  EXPECT_TRUE(CPU_EQUAL(&Choose(400, "b").cpus(), &allowed_));
}

TEST_F(CpuShareTest, WithoutAClaimsFileTheLimitStillHolds) {
  const CpuShare share = CpuShare::Choose(allowed_, 3, "job", "/proc/no/such/file");
  EXPECT_EQ(CPU_COUNT(&share.cpus()), 3);
  cpu_set_t common;
  CPU_AND(&common, &share.cpus(), &allowed_);
  EXPECT_EQ(CPU_COUNT(&common), 3);
}

}  // namespace
}  // namespace tributary::scheduler_adapters

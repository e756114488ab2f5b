#include "scheduler_adapters/slurm_site.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tributary::scheduler_adapters {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(SlurmSiteTest, APartitionIsOneOfferHoweverManyKindsOfNodesItHas) {
  const auto offers = ParsePartitions(
      "debug*|up|30:00|3|2|(null)\n"
      "gpu|up|2-00:00:00|16|64|gpu:a100:4(S:0,2)\n"
      "gpu|up|2-00:00:00|8|128+|gpu:h100:8(S:0-1),gpu:2,nvme:1\n"
      "old|down|infinite|1|4|\n"
      "sinfo: error: something\n");
  ASSERT_EQ(offers.size(), 3U);
  EXPECT_EQ(offers[0].name, "debug");
  EXPECT_TRUE(offers[0].is_default);
  EXPECT_TRUE(offers[0].open);
  EXPECT_EQ(offers[0].walltime, std::chrono::minutes(30));
  EXPECT_EQ(offers[0].nodes, 3);
  EXPECT_EQ(offers[0].cpus, 2);
  EXPECT_EQ(offers[0].gpus, 0);
  EXPECT_EQ(offers[1].name, "gpu");
  EXPECT_FALSE(offers[1].is_default);
  EXPECT_EQ(offers[1].walltime, std::chrono::hours(48));
  EXPECT_EQ(offers[1].nodes, 24);
  EXPECT_EQ(offers[1].cpus, 128);
  EXPECT_EQ(offers[1].gpus, 10);
  EXPECT_FALSE(offers[2].open);
  EXPECT_FALSE(offers[2].walltime);
  EXPECT_THAT(ParsePartitions(""), IsEmpty());
}

TEST(SlurmSiteTest, EachAccountOnce) {
  EXPECT_THAT(ParseAccounts("chem\nphys\nchem\n\n"), ElementsAre("chem", "phys"));
  EXPECT_THAT(ParseAccounts("chem|normal\n"), ElementsAre("chem"));
  EXPECT_THAT(ParseAccounts(""), IsEmpty());
}

}  // namespace
}  // namespace tributary::scheduler_adapters

#include "scheduler_adapters/pbs_site.h"

#include <gtest/gtest.h>

namespace tributary::scheduler_adapters {
namespace {

TEST(PbsSiteTest, AStoppedQueueIsSeen) {
  const std::string text = "Queue: workq\n    queue_type = Execution\n    enabled = True\n";
  EXPECT_TRUE(ParsePbsQueue(text + "    started = True\n").started);
  EXPECT_FALSE(ParsePbsQueue(text + "    started = False\n").started);
  EXPECT_TRUE(ParsePbsQueue(text).started);
  EXPECT_TRUE(ParsePbsQueue("").started);
  EXPECT_FALSE(ParsePbsQueue("    queue_type = Route\n").execution);
  EXPECT_EQ(DefaultPbsQueue("Server: a\n    default_queue = workq\n    x = 1\n"), "workq");
  EXPECT_EQ(DefaultPbsQueue("Server: a\n"), "");
}

TEST(PbsSiteTest, VnodesOfAHostAreAddedUp) {
  const auto hosts = ParsePbsNodes(R"({"nodes": {
      "a": {"resources_available": {"host": "a", "ncpus": 0}},
      "a[0]": {"resources_available": {"host": "a", "ncpus": 32, "ngpus": 2}},
      "a[1]": {"resources_available": {"host": "a", "ncpus": "32", "ngpus": "2"}},
      "b": {"resources_available": {"ncpus": 8}}, "c": {"state": "down"}}})");
  ASSERT_TRUE(hosts.ok()) << hosts.status();
  ASSERT_EQ(hosts->size(), 2U);
  EXPECT_EQ((*hosts)[0].cpus, 64);
  EXPECT_EQ((*hosts)[0].gpus, 4);
  EXPECT_EQ((*hosts)[1].name, "b");
  JobSpec spec;
  spec.cpus = 64;
  spec.gpus = 4;
  EXPECT_TRUE(CheckPbsHosts(*hosts, spec).ok());
  spec.nodes = 2;
  EXPECT_EQ(CheckPbsHosts(*hosts, spec).code(), StatusCode::kInvalidArgument);
  spec.cpus = 8;
  spec.gpus = 0;
  EXPECT_TRUE(CheckPbsHosts(*hosts, spec).ok());
  spec.directives = {"-l select=2:ncpus=4:system=x"};
  EXPECT_TRUE(ChoosesNodes(spec));
  EXPECT_FALSE(ParsePbsNodes("[]").ok());
}

}  // namespace
}  // namespace tributary::scheduler_adapters

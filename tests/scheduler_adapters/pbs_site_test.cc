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

TEST(PbsSiteTest, QueuesAreListedWithTheirLimits) {
  const std::string text =
      "Queue: workq\n    queue_type = Execution\n    state_count = Transit:0 Exiting:0 Begun\n\t:0 "
      "\n"
      "    enabled = True\n    started = True\n\n"
      "Queue: debug\n    queue_type = Execution\n    resources_max.nodect = 2\n"
      "    resources_max.walltime = 01:00:00\n    enabled = True\n    started = True\n\n"
      "Queue: stopped\n    enabled = True\n    started = False\n\n"
      "Queue: disabled\n    enabled = False\n    started = True\n";
  const std::vector<QueueOffer> queues = ParsePbsQueues(text, "debug");
  ASSERT_EQ(queues.size(), 4U);
  EXPECT_EQ(queues[0].name, "workq");
  EXPECT_FALSE(queues[0].walltime);
  EXPECT_TRUE(queues[0].open);
  EXPECT_FALSE(queues[0].is_default);
  EXPECT_EQ(queues[1].name, "debug");
  EXPECT_EQ(queues[1].walltime, std::chrono::hours(1));
  EXPECT_TRUE(queues[1].is_default);
  EXPECT_FALSE(queues[2].open);
  EXPECT_FALSE(queues[3].open);
  EXPECT_TRUE(ParsePbsQueues("", "").empty());
  EXPECT_TRUE(ParsePbsQueues("Queue: \n", "").empty());
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

// A daemon that is a job of a real Slurm, over several of its own jobs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/integration/federation_harness.h"
#include "tests/integration/slurm_cluster.h"

namespace tributary::integration {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;

std::string DigestWithDaemons(const SiteSetup& first) {
  const auto harness = FederationHarness::Start({first, SiteSetup()});
  EXPECT_TRUE(harness.ok()) << harness.status();
  const auto digest = harness.ok() ? (*harness)->RunToTheEnd(kRounds) : harness.status();
  EXPECT_TRUE(digest.ok()) << digest.status();
  return digest.ok() ? *digest : "";
}

int CountOf(const std::string& text, const std::string& part) {
  int count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

TEST(DaemonJobTest, JobsFollowEachOtherAndServeTheSiteOneAtATime) {
  const std::string missing = SlurmCluster::MissingPrograms(false);
  if (!missing.empty()) GTEST_SKIP() << "no Slurm here: " << missing;
  const auto cluster = SlurmCluster::Start({});
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  SiteSetup slurm_site;
  slurm_site.scheduler = "{adapter: slurm, command_interval: 20ms}";
  slurm_site.job = "  poll_interval: 300ms\n";
  const std::string expected = DigestWithDaemons(slurm_site);

  slurm_site.environment = ", DELAY: 20000";  // so that the campaign outlives three of these jobs
  const auto harness = FederationHarness::Start({slurm_site, SiteSetup()});
  ASSERT_TRUE(harness.ok()) << harness.status();
  (*harness)->KillClient("site-0");
  const std::string home = (*harness)->SiteHome("site-0");
  const std::string file = home + "/client.yaml";
  ASSERT_TRUE(
      WriteFileAtomic(
          file, *ReadFile(file) + "daemon_job: {walltime: 60s, successor_before: 45s}\n", 0600)
          .ok());
  // Whoever asks for it, and however often at once: there is one.
  std::vector<ChildProcess> starters;
  for (int i = 0; i < 3; ++i) {
    auto starter = ChildProcess::Start(
        {TRIBUTARY_BIN_DIR "/tributary-client", "run", "--in-job", "--config", file},
        home + "/starters.out");
    ASSERT_TRUE(starter.ok()) << starter.status();
    starters.push_back(*std::move(starter));
  }
  for (ChildProcess& starter : starters) {
    ASSERT_TRUE(WaitFor([&] { return starter.Poll().has_value(); }));
    EXPECT_EQ(starter.Poll(), 0);
  }
  const std::string said = *ReadFile(home + "/starters.out");
  EXPECT_EQ(CountOf(said, "is submitted"), 1) << said;
  EXPECT_EQ(CountOf(said, "is there"), 2) << said;

  ASSERT_TRUE((*harness)->Submit((*harness)->Campaign("allowed", kRounds)).ok());
  int most = 0;
  const bool ended = WaitUntil(
      [&] {
        const auto queue = (*cluster)->Command({"squeue", "-h", "-o", "%j"});
        if (queue.ok()) most = std::max(most, CountOf(*queue, "tribd-"));
        const auto status = (*harness)->Show("allowed");
        return status.ok() && status->phase() == "completed";
      },
      seconds(240));
  const std::string log = *ReadFile(home + "/client.log");
  ASSERT_TRUE(ended) << log;
  EXPECT_LE(most, 2) << "one that serves, and one that waits or has just begun";
  EXPECT_EQ((*harness)->Show("allowed")->version_digest(), expected);
  EXPECT_EQ((*harness)->JobStarts("site-0"), 2 * kRounds);
  EXPECT_GE(CountOf(log, "the daemon's next job runs; this one leaves"), 3) << log;
  EXPECT_THAT(*ReadFile((*harness)->ServerLog()), Not(HasSubstr("served by another daemon")));
}

}  // namespace
}  // namespace tributary::integration

// One campaign over three sites, each with another scheduler: a real Slurm cluster, a PBS (the
// stand-in), and local jobs.
#include <gtest/gtest.h>

#include "tests/integration/federation_harness.h"
#include "tests/integration/pbs_harness.h"
#include "tests/integration/slurm_cluster.h"

namespace tributary::integration {
namespace {

std::string DigestOf(FederationHarness& harness) {
  EXPECT_TRUE(harness.Submit(harness.Campaign("allowed", kRounds)).ok());
  const auto status = harness.AwaitEnd("allowed", std::chrono::seconds(240));
  EXPECT_TRUE(status.ok()) << status.status();
  if (!status.ok()) return "";
  EXPECT_EQ(status->phase(), "completed");
  for (const v1::RoundStatus& round : status->round_history()) {
    EXPECT_EQ(round.contributions_size(), 3);
    for (const v1::Contribution& c : round.contributions()) {
      EXPECT_EQ(c.outcome(), "accepted") << c.site() << ": " << c.reason();
    }
  }
  return status->version_digest();
}

TEST(ThreeSitesTest, ASlurmAPbsAndALocalSiteMakeOneModel) {
  std::string local_digest;
  {
    const auto harness = FederationHarness::Start(3);
    ASSERT_TRUE(harness.ok()) << harness.status();
    local_digest = DigestOf(**harness);
  }
  const std::string missing = SlurmCluster::MissingPrograms(false);
  if (!missing.empty()) GTEST_SKIP() << "no Slurm here: " << missing;
  const auto cluster = SlurmCluster::Start({});
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  scheduler_adapters::PbsStandIn pbs;
  SiteSetup slurm_site;
  slurm_site.scheduler = "{adapter: slurm, command_interval: 20ms}";
  slurm_site.job = "  poll_interval: 300ms\n  setup: [\"export SITE=slurm\"]\n";
  SiteSetup pbs_site;
  pbs_site.scheduler =
      "{adapter: pbs, command_interval: 0ms, command_directory: " + pbs.BinDirectory() + "}";
  pbs_site.job = "  poll_interval: 100ms\n  queue: debug\n";
  const auto harness = FederationHarness::Start({slurm_site, pbs_site, SiteSetup()});
  ASSERT_TRUE(harness.ok()) << harness.status();
  // Where a job ran does not change a bit of what came of it.
  EXPECT_EQ(DigestOf(**harness), local_digest);
  for (const char* site : {"site-0", "site-1", "site-2"}) {
    EXPECT_EQ((*harness)->JobStarts(site), 2 * kRounds) << site;
  }
  cli::Session lead = *cli::Session::Open((*harness)->lead());
  EXPECT_TRUE(WaitFor([&] {  // it is said with the next heartbeat
    const auto sites = lead.Call(&v1::Control::StubInterface::Sites, v1::SitesRequest());
    return sites.ok() && sites->sites(0).facts().scheduler().starts_with("slurm ");
  }));
  EXPECT_TRUE(pbs.Run({"qselect"}).empty());
}

}  // namespace
}  // namespace tributary::integration

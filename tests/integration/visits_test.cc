// A site that keeps no daemon: `tributary-client run --once`, again and again, in place of one that
// stays.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <thread>

#include "cli/listing_view.h"
#include "tests/integration/federation_harness.h"
#include "tests/integration/slurm_cluster.h"

namespace tributary::integration {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

// One site of a harness, visited until the campaign has ended.
class Visitor {
 public:
  Visitor(FederationHarness& harness, std::string site)
      : harness_(harness), site_(std::move(site)) {
    harness_.KillClient(site_);  // the daemon that the harness starts
  }

  // A visit that is killed after `kill_after`, if that is not zero. Its exit code; -1: killed.
  int Visit(milliseconds kill_after = milliseconds(0)) {
    auto process = Begin();
    EXPECT_TRUE(process.ok()) << process.status();
    if (!process.ok()) return -1;
    if (kill_after.count() > 0) {
      std::this_thread::sleep_for(kill_after);
      kill(process->pid(), SIGKILL);
    }
    EXPECT_TRUE(WaitFor([&] { return process->Poll().has_value(); }, std::chrono::seconds(90)));
    const auto code = process->Poll();
    return code && *code >= 0 && *code < 128 ? *code : -1;
  }

  Result<ChildProcess> Begin() {
    const std::string home = harness_.SiteHome(site_);
    return ChildProcess::Start(
        {TRIBUTARY_BIN_DIR "/tributary-client", "run", "--once", "--config", home + "/client.yaml"},
        home + "/visits.out");
  }

 private:
  FederationHarness& harness_;
  const std::string site_;
};

v1::SiteStatus SiteOf(FederationHarness& harness, const std::string& name) {
  cli::Session lead = *cli::Session::Open(harness.lead());
  const auto sites = lead.Call(&v1::Control::StubInterface::Sites, v1::SitesRequest());
  EXPECT_TRUE(sites.ok()) << sites.status();
  const v1::SitesResponse none;
  for (const v1::SiteStatus& site : (sites.ok() ? *sites : none).sites()) {
    if (site.site() == name) return site;
  }
  ADD_FAILURE() << "no site " << name;
  return {};
}

std::string EndOf(FederationHarness& harness) {
  const auto status = harness.Show("allowed");
  EXPECT_TRUE(status.ok()) << status.status();
  return status.ok() && status->phase() == "completed" ? status->version_digest() : "";
}

// Visits `site` until the campaign is done, every third one killed on its way; the digest.
std::string VisitToTheEnd(FederationHarness& harness, const std::string& site) {
  Visitor visitor(harness, site);
  EXPECT_TRUE(harness.Submit(harness.Campaign("allowed", kRounds)).ok());
  std::string digest;
  for (int visit = 0; visit < 40 && digest.empty(); ++visit) {
    if (visit % 3 == 2) {
      visitor.Visit(milliseconds(300 * (visit % 7) + 200));
    } else {
      EXPECT_EQ(visitor.Visit(), 0);
    }
    digest = EndOf(harness);
  }
  return digest;
}

std::string DigestWithDaemons() {
  const auto harness = FederationHarness::Start(2);
  EXPECT_TRUE(harness.ok()) << harness.status();
  const auto digest = harness.ok() ? (*harness)->RunToTheEnd(kRounds) : harness.status();
  EXPECT_TRUE(digest.ok()) << digest.status();
  return digest.ok() ? *digest : "";
}

TEST(VisitsTest, AVisitedSiteGivesTheSameBitsAndNoJobTwice) {
  const std::string expected = DigestWithDaemons();
  const auto harness = FederationHarness::Start(2);
  ASSERT_TRUE(harness.ok()) << harness.status();
  EXPECT_EQ(VisitToTheEnd(**harness, "site-0"), expected);
  for (const char* site : {"site-0", "site-1"}) {
    EXPECT_EQ((*harness)->JobStarts(site), 2 * kRounds) << site;
  }
}

TEST(VisitsTest, BesideARealSlurmToo) {
  const std::string missing = SlurmCluster::MissingPrograms(false);
  if (!missing.empty()) GTEST_SKIP() << "no Slurm here: " << missing;
  const auto cluster = SlurmCluster::Start({});
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  SiteSetup slurm_site;
  slurm_site.scheduler = "{adapter: slurm, command_interval: 20ms}";
  slurm_site.job = "  poll_interval: 300ms\n";
  const auto harness = FederationHarness::Start({slurm_site, SiteSetup()});
  ASSERT_TRUE(harness.ok()) << harness.status();
  EXPECT_EQ(VisitToTheEnd(**harness, "site-0"), DigestWithDaemons());
  EXPECT_EQ((*harness)->JobStarts("site-0"), 2 * kRounds);
}

TEST(VisitsTest, TheServerKnowsTheRhythmAndASecondVisitLeavesTheFirstAlone) {
  const auto harness = FederationHarness::Start(2);
  ASSERT_TRUE(harness.ok()) << harness.status();
  Visitor visitor(**harness, "site-0");
  EXPECT_EQ(visitor.Visit(), 0);
  EXPECT_TRUE(WaitFor([&] { return !SiteOf(**harness, "site-0").connected(); }));
  v1::SiteStatus site = SiteOf(**harness, "site-0");
  EXPECT_EQ(site.visit_seconds(), 3600u) << "as long as there was one visit alone";
  EXPECT_FALSE(site.overdue());
  EXPECT_EQ(visitor.Visit(), 0);
  site = SiteOf(**harness, "site-0");
  EXPECT_GE(site.visit_seconds(), 1u);
  EXPECT_LE(site.visit_seconds(), 120u);
  v1::SitesResponse sites;
  *sites.add_sites() = site;
  EXPECT_THAT(cli::RenderSites(sites), HasSubstr("visits"));
  EXPECT_EQ(SiteOf(**harness, "site-1").visit_seconds(), 0u);

  // Both at once: one works, the other says so and leaves; neither fails.
  auto first = visitor.Begin();
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(visitor.Visit(), 0);
  EXPECT_TRUE(WaitFor([&] { return first->Poll().has_value(); }, std::chrono::seconds(90)));
  EXPECT_EQ(first->Poll(), 0);
  const std::string log = *ReadFile((*harness)->SiteHome("site-0") + "/client.log");
  EXPECT_THAT(log, HasSubstr("another visit or a daemon is at work here"));
  const std::size_t last = log.rfind("client: connected");
  EXPECT_NE(log.find("visit ended", last), std::string::npos) << "one of the two did its work";

  // Away is who does not answer: the server is not there.
  (*harness)->KillServer();
  EXPECT_EQ(visitor.Visit(), 1);
  EXPECT_THAT(*ReadFile((*harness)->SiteHome("site-0") + "/visits.out"),
              HasSubstr("was not reached"));
}

}  // namespace
}  // namespace tributary::integration

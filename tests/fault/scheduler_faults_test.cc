// Hundreds of faults, by a seeded script, on a running federation of real processes: daemons are
// killed, schedulers die, hang, forget, answer nonsense, and lose nodes. Then everything is
// counted.
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <set>

#include "tests/integration/federation_harness.h"
#include "tests/integration/pbs_harness.h"

namespace tributary::integration {
namespace {

using nlohmann::json;
using scheduler_adapters::PbsStandIn;

constexpr int kTroubledSites = 3;
constexpr int kFaults = 200;
constexpr unsigned kSeed = 20261121;

// What a PBS can do wrong, as the stand-in's control file says it.
const std::vector<std::string> kPbsFaults = {
    R"({"down": true})",
    R"({"hang": ["qsub"]})",
    R"({"hang": ["qstat", "qselect"]})",
    R"({"hang": ["qdel"]})",
    R"({"hang_after": ["qsub"]})",
    R"({"first_id_only": true})",
    R"({"writer": "older", "raw_jobs": ["\"9.pbs01\":{\"Job_Name\":nan,\"Variable_List\":{\"X\":.5"]})",
    R"({"history": false})",
    R"({"node_fails": ["*"]})",
    R"({"node_fails": ["*"], "node_lives": true})",
    R"({"deaf": 1})",
};

class Script {
 public:
  Script(FederationHarness& harness, std::vector<std::unique_ptr<PbsStandIn>>& pbs)
      : harness_(harness), pbs_(pbs) {}

  // One fault, for a while; then all is well again.
  void Inject() {
    const unsigned what = random_() % (kPbsFaults.size() + 3);
    const auto site = random_() % kTroubledSites;
    const std::string name = "site-" + std::to_string(site);
    if (what < kPbsFaults.size()) {
      ++counts_[kPbsFaults[what]];
      pbs_[site]->Control(kPbsFaults[what]);
      Sleep(100 + random_() % 300);
      pbs_[site]->Control("{}");
    } else if (what == kPbsFaults.size()) {
      ++counts_["server killed"];
      harness_.KillServer();
      ASSERT_TRUE(harness_.StartServer().ok());
    } else {
      ++counts_["client killed"];
      harness_.KillClient(name);
      ASSERT_TRUE(harness_.StartClient(name).ok());
    }
    Sleep(random_() % 100);
  }
  const std::map<std::string, int>& counts() const { return counts_; }

 private:
  static void Sleep(unsigned milliseconds) { usleep(milliseconds * 1000); }

  FederationHarness& harness_;
  std::vector<std::unique_ptr<PbsStandIn>>& pbs_;
  std::mt19937 random_{kSeed};
  std::map<std::string, int> counts_;
};

// How often each job's name was submitted at one PBS.
std::map<std::string, int> Submissions(const PbsStandIn& pbs) {
  std::map<std::string, int> names;
  const std::string directory = pbs.BinDirectory() + "/../jobs";
  const auto files = ListDirectory(directory);
  EXPECT_TRUE(files.ok());
  for (const std::string& file : *files) {
    if (!file.ends_with(".json")) continue;
    const json job = json::parse(*ReadFile(directory + "/" + file));
    ++names[job["options"]["N"].get<std::string>()];
  }
  return names;
}

TEST(SchedulerFaultsTest, TwoHundredFaultsLoseNothingAndDoNothingTwice) {
  std::vector<std::unique_ptr<PbsStandIn>> pbs;
  std::vector<SiteSetup> setups;
  for (int k = 0; k < kTroubledSites; ++k) {
    pbs.push_back(std::make_unique<PbsStandIn>());
    SiteSetup setup;
    setup.scheduler =
        "{adapter: pbs, command_interval: 0ms, command_timeout: 1s, settle: 3s, "
        "command_directory: " +
        pbs.back()->BinDirectory() + "}";
    setup.job = "  poll_interval: 50ms\n  max_attempts: 100\n";
    setup.environment = ", DELAY: 300";
    setups.push_back(setup);
  }
  auto started = FederationHarness::Start(setups);
  ASSERT_TRUE(started.ok()) << started.status();
  FederationHarness& harness = **started;
  CampaignFile campaign = harness.Campaign("allowed", 1000);
  campaign.data.evaluate.clear();
  ASSERT_TRUE(harness.Submit(campaign).ok());

  Script script(harness, pbs);
  for (int i = 0; i < kFaults; ++i) {
    script.Inject();
    if (HasFatalFailure()) return;
  }
  // Left in peace it goes on: three more rounds, then the campaign is ended in mid-flight.
  auto status = harness.Show("allowed");
  ASSERT_TRUE(status.ok()) << status.status();
  const auto version = status->version();
  EXPECT_TRUE(WaitFor(
      [&] {
        status = harness.Show("allowed");
        return status.ok() && status->version() >= version + 3;
      },
      std::chrono::seconds(240)))
      << "stuck at version " << status->version();
  cli::Session lead = *cli::Session::Open(harness.lead());
  v1::CampaignRequest request;
  request.set_campaign("allowed");
  status = lead.Call(&v1::Control::StubInterface::Cancel, request);
  ASSERT_TRUE(status.ok()) << status.status();

  int lost = 0, twice = 0, submitted_twice = 0, orphans = 0, updates = 0;
  for (const v1::RoundStatus& round : status->round_history()) {
    if (round.closed_at_us() == 0) continue;  // the one that was cancelled
    std::multiset<std::string> accepted;
    for (const v1::Contribution& c : round.contributions()) {
      if (c.outcome() == "accepted") accepted.insert(c.site());
    }
    for (int k = 0; k < kTroubledSites; ++k) {
      const std::size_t times = accepted.count("site-" + std::to_string(k));
      updates += static_cast<int>(times);
      lost += times == 0 ? 1 : 0;
      twice += times > 1 ? 1 : 0;
    }
  }
  for (std::size_t k = 0; k < pbs.size(); ++k) {
    // A client that has ended its part of the campaign removes its directory, and leaves no job.
    const std::string directory = harness.SiteHome("site-" + std::to_string(k)) + "/work/allowed";
    EXPECT_TRUE(WaitFor([&] { return !PathExists(directory); })) << directory;
    orphans += static_cast<int>(pbs[k]->Run({"qselect"}).size());
    for (const auto& [name, times] : Submissions(*pbs[k])) submitted_twice += times > 1 ? 1 : 0;
  }
  for (const auto& [fault, times] : script.counts()) {
    std::printf("%4d  %s\n", times, fault.c_str());
  }
  std::printf(
      "%d faults, %d rounds, %d updates: lost %d, counted twice %d, jobs submitted twice %d, "
      "orphans %d\n",
      kFaults, static_cast<int>(status->version()), updates, lost, twice, submitted_twice, orphans);
  EXPECT_GT(status->version(), 3);
  EXPECT_EQ(lost, 0);
  EXPECT_EQ(twice, 0);
  EXPECT_EQ(submitted_twice, 0);
  EXPECT_EQ(orphans, 0);
}

}  // namespace
}  // namespace tributary::integration

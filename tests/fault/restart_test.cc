// kill -9 of server and clients, with real processes: nothing lost, nothing twice, the same bits.
#include <gtest/gtest.h>

#include <iostream>
#include <random>

#include "core/files.h"
#include "tests/integration/federation_harness.h"

namespace tributary::integration {
namespace {

constexpr int kSites = 3;
constexpr int kRestartRounds = 4;
// Train jobs and evaluation jobs of one site.
constexpr int kJobsPerSite = 2 * kRestartRounds;

std::unique_ptr<FederationHarness> StartOrFail() {
  auto harness = FederationHarness::Start(kSites);
  EXPECT_TRUE(harness.ok()) << harness.status();
  return harness.ok() ? *std::move(harness) : nullptr;
}

// The digest of the last version of an undisturbed run; computed once.
const std::string& UndisturbedDigest() {
  static const std::string digest = [] {
    const auto harness = StartOrFail();
    EXPECT_TRUE(harness->Submit(harness->Campaign("allowed", kRestartRounds)).ok());
    const auto status = harness->AwaitEnd("allowed");
    EXPECT_TRUE(status.ok()) << status.status();
    return status.ok() ? status->version_digest() : std::string();
  }();
  return digest;
}

void ExpectSameEnd(FederationHarness& harness) {
  const auto status = harness.AwaitEnd("allowed");
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(status->phase(), "completed");
  EXPECT_EQ(status->version(), kRestartRounds);
  EXPECT_EQ(status->version_digest(), UndisturbedDigest());
  for (const v1::RoundStatus& round : status->round_history()) {
    EXPECT_EQ(round.contributions_size(), kSites);
    for (const v1::Contribution& c : round.contributions()) EXPECT_EQ(c.outcome(), "accepted");
  }
  for (int k = 0; k < kSites; ++k) {
    EXPECT_EQ(harness.JobStarts("site-" + std::to_string(k)), kJobsPerSite) << "site " << k;
  }
  if (testing::Test::HasFailure()) std::cerr << *ReadFile(harness.ServerLog());
}

bool JobRuns(FederationHarness& harness, const std::string& site) {
  return WaitFor([&] { return harness.JobStarts(site) == 1; });
}

TEST(RestartTest, ServerKilledInTheMiddleOfARoundLosesNothing) {
  const auto harness = StartOrFail();
  harness->CloseGate("site-0");
  ASSERT_TRUE(harness->Submit(harness->Campaign("allowed", kRestartRounds)).ok());
  ASSERT_TRUE(WaitFor([&] {  // two of three updates are in
    const auto status = harness->Show("allowed");
    if (!status.ok() || status->round_history().empty()) return false;
    int accepted = 0;
    for (const auto& c : status->round_history(0).contributions()) {
      accepted += c.outcome() == "accepted" ? 1 : 0;
    }
    return accepted == 2;
  }));
  harness->KillServer();
  harness->OpenGate("site-0");  // this job ends while the server is away
  ASSERT_TRUE(harness->StartServer().ok());
  ExpectSameEnd(*harness);
}

// A disk of the server that changed a bit of an update: the site sends it again as it was, without
// a job.
TEST(RestartTest, AnUpdateThatIsDamagedAtTheServerIsSentAgain) {
  const auto harness = StartOrFail();
  harness->CloseGate("site-0");
  ASSERT_TRUE(harness->Submit(harness->Campaign("allowed", kRestartRounds)).ok());
  std::string digest;
  ASSERT_TRUE(WaitFor([&] {
    const auto status = harness->Show("allowed");
    if (!status.ok() || status->round_history().empty()) return false;
    for (const auto& c : status->round_history(0).contributions()) {
      if (c.site() == "site-1" && c.outcome() == "accepted") digest = c.digest();
    }
    return !digest.empty();
  }));
  const std::string blob =
      harness->directory() + "/server/data/blobs/" + digest.substr(0, 2) + "/" + digest;
  std::string bytes = *ReadFile(blob);
  bytes[bytes.size() - 2] ^= 1;
  ASSERT_TRUE(WriteFileAtomic(blob, bytes).ok());
  harness->OpenGate("site-0");
  const auto status = harness->AwaitEnd("allowed");
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(status->phase(), "completed") << status->note();
  EXPECT_EQ(status->version_digest(), UndisturbedDigest());
  EXPECT_EQ(harness->JobStarts("site-1"), kJobsPerSite) << "no job made it again";
}

// A disk that changed a bit of an update, or lost its end, before it was sent: the site trains it
// again, which makes the same bits.
TEST(RestartTest, AnUpdateThatIsDamagedAtItsSiteIsMadeAgain) {
  const auto harness = StartOrFail();
  harness->CloseGate("site-0");
  harness->CloseGate("site-1");
  ASSERT_TRUE(harness->Submit(harness->Campaign("allowed", kRestartRounds)).ok());
  ASSERT_TRUE(JobRuns(*harness, "site-0") && JobRuns(*harness, "site-1"));
  harness->KillServer();
  for (const std::string site : {"site-0", "site-1"}) {
    harness->OpenGate(site);
    const std::string tasks = harness->SiteHome(site) + "/work/allowed/";
    std::string delta;
    ASSERT_TRUE(WaitFor([&] {
      const auto names = ListDirectory(tasks);
      for (const std::string& name : names.ok() ? *names : std::vector<std::string>()) {
        if (PathExists(tasks + name + "/delta.safetensors")) {
          delta = tasks + name + "/delta.safetensors";
        }
      }
      return !delta.empty();
    }));
    std::string bytes = *ReadFile(delta);
    bytes[bytes.size() - 2] ^= 1;
    if (site == "site-1") bytes.resize(bytes.size() / 2);
    ASSERT_TRUE(WriteFileAtomic(delta, bytes).ok());
  }
  ASSERT_TRUE(harness->StartServer().ok());
  const auto status = harness->AwaitEnd("allowed");
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(status->phase(), "completed") << status->note();
  EXPECT_EQ(status->version_digest(), UndisturbedDigest());
  for (const std::string site : {"site-0", "site-1"}) {
    EXPECT_EQ(harness->JobStarts(site), kJobsPerSite + 1) << site;
  }
}

TEST(RestartTest, ClientKilledWhileItsJobRunsSubmitsItOnce) {
  const auto harness = StartOrFail();
  harness->CloseGate("site-1");
  ASSERT_TRUE(harness->Submit(harness->Campaign("allowed", kRestartRounds)).ok());
  ASSERT_TRUE(JobRuns(*harness, "site-1"));
  harness->KillClient("site-1");
  harness->OpenGate("site-1");  // the job ends while its daemon is dead
  ASSERT_TRUE(harness->StartClient("site-1").ok());
  ExpectSameEnd(*harness);
}

TEST(RestartTest, EverybodyKilledAtRandomTimesEndsWithTheSameBits) {
  const auto harness = StartOrFail();
  ASSERT_TRUE(harness->Submit(harness->Campaign("allowed", kRestartRounds)).ok());
  std::mt19937 random(20261121);
  for (int i = 0; i < 12; ++i) {
    const auto pause = std::chrono::milliseconds(random() % 150);
    const auto until = std::chrono::steady_clock::now() + pause;
    WaitFor([&] { return std::chrono::steady_clock::now() >= until; });
    const unsigned victim = random() % (kSites + 1);
    if (victim == kSites) {
      harness->KillServer();
      ASSERT_TRUE(harness->StartServer().ok());
    } else {
      const std::string site = "site-" + std::to_string(victim);
      harness->KillClient(site);
      ASSERT_TRUE(harness->StartClient(site).ok());
    }
  }
  ExpectSameEnd(*harness);
}

TEST(RestartTest, ServerDrainsOnSigtermAndContinues) {
  const auto harness = StartOrFail();
  harness->CloseGate("site-2");
  ASSERT_TRUE(harness->Submit(harness->Campaign("allowed", kRestartRounds)).ok());
  ASSERT_TRUE(JobRuns(*harness, "site-2"));
  EXPECT_EQ(harness->StopServer(), 0);
  ASSERT_TRUE(harness->StartServer().ok());
  harness->OpenGate("site-2");
  ExpectSameEnd(*harness);
}

// An empty federation in the place of the one that was there would turn every site away from what
// it knows, and remove the blobs as nobody's.
TEST(RestartTest, AServerWhoseJournalLostItsTailDoesNotStart) {
  const auto started = FederationHarness::Start(1);
  ASSERT_TRUE(started.ok()) << started.status();
  FederationHarness& harness = **started;
  ASSERT_TRUE(harness.Submit(harness.Campaign("allowed", 1)).ok());
  ASSERT_TRUE(harness.AwaitEnd("allowed").ok());
  harness.KillServer();
  const std::string data = harness.directory() + "/server/data/";
  const std::string tail = *ReadFile(data + "journal.db-wal");
  ASSERT_FALSE(tail.empty());
  ASSERT_TRUE(RemoveFile(data + "journal.db-wal").ok());
  ASSERT_TRUE(RemoveFile(data + "journal.db-shm").ok());
  const Status lost = harness.StartServer();
  EXPECT_NE(lost.message().find("journal.db-wal"), std::string::npos) << lost;
  // Older servers left no mark: then what lies beside the journal speaks.
  ASSERT_TRUE(RemoveFile(data + "journal.db.mark").ok());
  const Status empty = harness.StartServer();
  EXPECT_NE(empty.message().find("the journal is empty, but"), std::string::npos) << empty;
  ASSERT_TRUE(WriteFileAtomic(data + "journal.db-wal", tail).ok());
  const Status whole = harness.StartServer();
  ASSERT_TRUE(whole.ok()) << whole;
  EXPECT_EQ(harness.Show("allowed")->phase(), "completed");
}

}  // namespace
}  // namespace tributary::integration

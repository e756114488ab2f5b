#include "server/disk_sweep.h"

#include <gtest/gtest.h>
#include <utime.h>

#include <future>

#include "tests/core/test_files.h"
#include "tests/server/engine_harness.h"

namespace tributary::server {
namespace {

class DiskSweepTest : public testing::Test {
 protected:
  DiskSweepTest() {
    auto runner = EngineRunner::Open(directory_ / "journal.db", clock_, coordinator_);
    EXPECT_TRUE(runner.ok()) << runner.status();
    runner_ = *std::move(runner);
    coordinator_.SetRunner(runner_.get());
    runner_->Start();
  }
  ~DiskSweepTest() override { runner_->Stop(); }

  Digest Put(const std::string& bytes, bool old) {
    const std::string path = blobs_.ScratchDirectory() + "/new";
    EXPECT_TRUE(WriteFileAtomic(path, bytes).ok());
    EXPECT_TRUE(blobs_.Adopt(path, Sha256Of(bytes)).ok());
    const utimbuf long_ago{0, 0};
    if (old) {
      EXPECT_EQ(utime(blobs_.PathOf(Sha256Of(bytes)).c_str(), &long_ago), 0);
    }
    return Sha256Of(bytes);
  }
  void Sweep() {
    SweepDisk(blobs_, *runner_, coordinator_);
    std::promise<void> swept;
    runner_->Read([&](const State&) { swept.set_value(); });
    swept.get_future().wait();
  }
  Status Post(const Event& event) {
    std::promise<Status> outcome;
    runner_->Post(event, [&](const Status& status) { outcome.set_value(status); });
    return outcome.get_future().get();
  }

  const TestDirectory directory_;
  BlobStore blobs_ = std::move(BlobStore::Open(directory_.path())).value();
  SystemClock clock_;
  WorkerPool workers_{1};
  Coordinator coordinator_{clock_, blobs_, Coordinator::Lanes{workers_, workers_, workers_}, {}};
  std::unique_ptr<EngineRunner> runner_;
};

TEST_F(DiskSweepTest, WhatNobodyNamesGoesWhileTheServerRuns) {
  const Digest version = Put("v0", true);
  const Digest refused = Put("refused", true);
  const Digest fresh = Put("fresh", false);
  const Digest held = Put("held", true);
  ASSERT_EQ(Post(SiteEnrolled{"a", "f"}), OkStatus());
  ASSERT_EQ(Post(CampaignSubmitted{"c", "lena", CampaignYaml({"a"}), version, 2}), OkStatus());
  const BlobHolds::Hold hold = coordinator_.holds().Take(held);
  Sweep();
  EXPECT_TRUE(blobs_.Has(version));
  EXPECT_FALSE(blobs_.Has(refused));
  EXPECT_TRUE(blobs_.Has(fresh)) << "its report may be on the way";
  EXPECT_TRUE(blobs_.Has(held));
}

}  // namespace
}  // namespace tributary::server

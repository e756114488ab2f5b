#include "server/coordinator.h"

#include <gtest/gtest.h>

#include <future>

#include "tests/core/test_files.h"
#include "tests/server/engine_harness.h"

namespace tributary::server {
namespace {

class CoordinatorTest : public testing::Test {
 protected:
  ~CoordinatorTest() override { release_.set_value(); }

  Digest Put(const std::string& bytes) {
    const std::string path = blobs_.ScratchDirectory() + "/new";
    EXPECT_TRUE(WriteFileAtomic(path, bytes).ok());
    EXPECT_TRUE(blobs_.Adopt(path, Sha256Of(bytes)).ok());
    return Sha256Of(bytes);
  }

  const TestDirectory directory_;
  BlobStore blobs_ = std::move(BlobStore::Open(directory_.path())).value();
  SystemClock clock_;
  std::promise<void> release_;
  WorkerPool workers_{1};
  Coordinator coordinator_{clock_, blobs_, workers_};
};

// Two campaigns may have the same update. While the workers are busy, one is done with it and the
// other's report comes: that report must not find a blob that is about to go.
TEST_F(CoordinatorTest, ABlobThatIsRemovedIsGoneBeforeTheNextReportIsJudged) {
  workers_.Submit([this] { release_.get_future().wait(); });
  const Digest update = Put("update");
  coordinator_.Perform(RemoveBlobs{{update}}, State{});
  EXPECT_FALSE(blobs_.Has(update));
}

TEST_F(CoordinatorTest, WhatTheStateNamesOrSomebodyHoldsStays) {
  const Digest version = Put("version");
  const Digest held = Put("held");
  const Digest gone = Put("gone");
  State state;
  state.campaigns["c"].id = "c";
  state.campaigns["c"].versions.push_back({0, version, 7, {}});
  {
    const BlobHolds::Hold hold = coordinator_.holds().Take(held);
    coordinator_.Perform(RemoveBlobs{{version, held, gone}}, state);
  }
  EXPECT_TRUE(blobs_.Has(version));
  EXPECT_TRUE(blobs_.Has(held));
  EXPECT_FALSE(blobs_.Has(gone));
  coordinator_.Perform(RemoveBlobs{{version, held, gone}}, state);
  EXPECT_TRUE(blobs_.Has(version));
  EXPECT_FALSE(blobs_.Has(held));
}

}  // namespace
}  // namespace tributary::server

#include "core/blob_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <utime.h>

#include <functional>
#include <utility>

#include "tests/core/test_files.h"

// Runs once in the moment before the next lock.
static std::function<void()> g_before_lock;  // NOLINT

extern "C" int flock(int fd, int operation) noexcept {
  if (g_before_lock) std::exchange(g_before_lock, nullptr)();
  return static_cast<int>(syscall(SYS_flock, fd, operation));
}

namespace tributary {
namespace {

using std::chrono::hours;
using testing::HasSubstr;

std::span<const std::byte> Bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

class BlobStoreTest : public testing::Test {
 protected:
  void Put(std::string_view bytes) {
    auto receiver = store_.Receive("site", Sha256Of(bytes), bytes.size());
    ASSERT_TRUE(receiver.ok()) << receiver.status();
    ASSERT_TRUE((*receiver)->Append(Bytes(bytes)).ok());
    ASSERT_TRUE((*receiver)->Finish().ok());
  }

  const TestDirectory directory_;
  BlobStore store_ = std::move(BlobStore::Open(directory_.path())).value();
  const std::string text_ = "0123456789";
  const Digest digest_ = Sha256Of(text_);
};

TEST_F(BlobStoreTest, ABlobIsVisibleOnlyWhenWhole) {
  auto receiver = store_.Receive("site", digest_, 10);
  ASSERT_TRUE(receiver.ok());
  ASSERT_TRUE((*receiver)->Append(Bytes(text_)).ok());
  EXPECT_FALSE(store_.Has(digest_));
  EXPECT_EQ(store_.SizeOf(digest_).status().code(), StatusCode::kNotFound);
  ASSERT_TRUE((*receiver)->Finish().ok());
  EXPECT_EQ(*ReadFile(store_.PathOf(digest_)), text_);
  EXPECT_EQ(*store_.SizeOf(digest_), 10u);
  EXPECT_EQ(store_.ResumeOffset("anybody", digest_), 10u);
}

TEST_F(BlobStoreTest, ResumesWhereTheConnectionBroke) {
  {
    auto receiver = store_.Receive("site", digest_, 10);
    ASSERT_TRUE((*receiver)->Append(Bytes("0123")).ok());
  }
  EXPECT_EQ(store_.ResumeOffset("site", digest_), 4u);
  EXPECT_EQ(store_.ResumeOffset("other", digest_), 0u);
  const BlobStore again = std::move(BlobStore::Open(directory_.path())).value();
  EXPECT_EQ(again.ResumeOffset("site", digest_), 4u);
  auto receiver = store_.Receive("site", digest_, 10);
  ASSERT_TRUE(receiver.ok());
  EXPECT_EQ((*receiver)->offset(), 4u);
  ASSERT_TRUE((*receiver)->Append(Bytes("456789")).ok());
  ASSERT_TRUE((*receiver)->Finish().ok());
  EXPECT_EQ(*ReadFile(store_.PathOf(digest_)), text_);
}

TEST_F(BlobStoreTest, WhatIsHeldIsHashedOnlyWhileSomebodyWaits) {
  const auto gone = [] { return false; };
  {
    auto receiver = store_.Receive("site", digest_, 10, gone);
    ASSERT_TRUE(receiver.ok()) << "there is nothing to hash";
    ASSERT_TRUE((*receiver)->Append(Bytes("01234")).ok());
  }
  EXPECT_EQ(store_.Receive("site", digest_, 10, gone).status().code(), StatusCode::kCancelled);
  EXPECT_EQ((*store_.Receive("site", digest_, 10))->offset(), 5u);
}

TEST_F(BlobStoreTest, WrongBytesAreDiscarded) {
  auto receiver = store_.Receive("site", digest_, 10);
  ASSERT_TRUE((*receiver)->Append(Bytes("012345678X")).ok());
  const Status status = (*receiver)->Finish();
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_THAT(status.message(), HasSubstr("send it again"));
  EXPECT_FALSE(store_.Has(digest_));
  receiver->reset();
  EXPECT_EQ(store_.ResumeOffset("site", digest_), 0u);
}

TEST_F(BlobStoreTest, ABlobKeepsToItsDeclaredSize) {
  auto receiver = store_.Receive("site", digest_, 9);
  ASSERT_TRUE((*receiver)->Append(Bytes("012345678")).ok());
  EXPECT_EQ((*receiver)->Append(Bytes("9")).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ((*receiver)->Finish().code(), StatusCode::kDataLoss);
  receiver->reset();
  receiver = store_.Receive("site", Sha256Of("short"), 10);
  ASSERT_TRUE((*receiver)->Append(Bytes("short")).ok());
  EXPECT_THAT((*receiver)->Finish().message(), HasSubstr("ended at byte 5 of 10"));
}

TEST_F(BlobStoreTest, StartsAgainWhenMoreIsHeldThanDeclared) {
  {
    auto receiver = store_.Receive("site", digest_, 100);
    ASSERT_TRUE((*receiver)->Append(Bytes("not these bytes at all")).ok());
  }
  auto receiver = store_.Receive("site", digest_, 10);
  ASSERT_TRUE(receiver.ok());
  EXPECT_EQ((*receiver)->offset(), 0u);
  ASSERT_TRUE((*receiver)->Append(Bytes(text_)).ok());
  EXPECT_TRUE((*receiver)->Finish().ok());
}

TEST_F(BlobStoreTest, OneReceiverPerOwnerAndBlob) {
  auto first = store_.Receive("site", digest_, 10);
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(store_.Receive("site", digest_, 10).status().code(), StatusCode::kAborted);
  auto other = store_.Receive("other", digest_, 10);
  ASSERT_TRUE(other.ok());
  for (auto* receiver : {&first, &other}) {
    ASSERT_TRUE((**receiver)->Append(Bytes(text_)).ok());
    EXPECT_TRUE((**receiver)->Finish().ok());
  }
  EXPECT_EQ(*ReadFile(store_.PathOf(digest_)), text_);
}

TEST_F(BlobStoreTest, AnEmptyBlobIsABlob) {
  Put("");
  EXPECT_EQ(*store_.SizeOf(Sha256Of("")), 0u);
}

TEST_F(BlobStoreTest, AdoptsAFinishedFile) {
  ASSERT_TRUE(WriteFileAtomic(directory_ / "next", text_).ok());
  ASSERT_TRUE(store_.Adopt(directory_ / "next", digest_).ok());
  EXPECT_FALSE(PathExists(directory_ / "next"));
  EXPECT_EQ(*ReadFile(store_.PathOf(digest_)), text_);
}

TEST_F(BlobStoreTest, RemovesWhatNobodyRefersTo) {
  Put("a");
  Put("b");
  Put("c");
  ASSERT_TRUE(WriteFileAtomic(DirectoryOf(store_.PathOf(Sha256Of("a"))) + "/notes", "").ok());
  EXPECT_EQ(*store_.RemoveUnreferenced({Sha256Of("b"), Sha256Of("unknown")}), 2u);
  EXPECT_FALSE(store_.Has(Sha256Of("a")));
  EXPECT_TRUE(store_.Has(Sha256Of("b")));
  EXPECT_TRUE(store_.Remove(Sha256Of("b")).ok());
  EXPECT_TRUE(store_.Remove(Sha256Of("b")).ok());
  EXPECT_FALSE(store_.Has(Sha256Of("b")));
}

TEST_F(BlobStoreTest, RemovesStalePartsOnly) {
  {
    auto receiver = store_.Receive("old", digest_, 10);
    ASSERT_TRUE((*receiver)->Append(Bytes("01")).ok());
    receiver = store_.Receive("new", digest_, 10);
    ASSERT_TRUE((*receiver)->Append(Bytes("01")).ok());
  }
  const utimbuf long_ago{0, 0};
  ASSERT_EQ(utime((directory_ / "incoming/old-" + digest_.ToHex() + ".part").c_str(), &long_ago),
            0);
  ASSERT_TRUE(store_.RemoveStale(hours(1), hours(1)).ok());
  EXPECT_EQ(store_.ResumeOffset("old", digest_), 0u);
  EXPECT_EQ(store_.ResumeOffset("new", digest_), 2u);
}

// Another receiver may finish between our open and our lock: the file that is locked then has its
// final name, and is nobody's to write to.
TEST_F(BlobStoreTest, AFinishedBlobIsNotWrittenTo) {
  const std::string part = directory_ / "incoming/site-" + digest_.ToHex() + ".part";
  ASSERT_TRUE(WriteFileAtomic(part, text_).ok());
  ASSERT_TRUE(MakeDirectories(DirectoryOf(store_.PathOf(digest_))).ok());
  g_before_lock = [&] { ASSERT_EQ(rename(part.c_str(), store_.PathOf(digest_).c_str()), 0); };
  EXPECT_EQ(store_.Receive("site", digest_, 5).status().code(), StatusCode::kAborted);
  EXPECT_EQ(*ReadFile(store_.PathOf(digest_)), text_);
  g_before_lock = [&] {  // and the next one has begun
    ASSERT_EQ(unlink(part.c_str()), 0);
    ASSERT_TRUE(WriteFileAtomic(part, "").ok());
  };
  EXPECT_EQ(store_.Receive("site", digest_, 5).status().code(), StatusCode::kAborted);
}

TEST_F(BlobStoreTest, WhatIsDamagedIsSetAsideAndGoesAfterAWhile) {
  Put("a");
  EXPECT_EQ(store_.Quarantine(Sha256Of("a")), OkStatus());
  EXPECT_FALSE(store_.Has(Sha256Of("a")));
  EXPECT_EQ(store_.Quarantine(Sha256Of("a")), OkStatus());
  const std::string aside = directory_ / "quarantine/" + Sha256Of("a").ToHex();
  EXPECT_EQ(*ReadFile(aside), "a");
  ASSERT_TRUE(store_.RemoveStale(hours(1), hours(1)).ok());
  EXPECT_TRUE(PathExists(aside));
  const utimbuf long_ago{0, 0};
  ASSERT_EQ(utime(aside.c_str(), &long_ago), 0);
  ASSERT_TRUE(store_.RemoveStale(hours(1), hours(1)).ok());
  EXPECT_FALSE(PathExists(aside));
}

TEST_F(BlobStoreTest, AnOldBlobThatIsSetAsideHasAllItsTimeThere) {
  Put("a");
  const utimbuf long_ago{0, 0};
  ASSERT_EQ(utime(store_.PathOf(Sha256Of("a")).c_str(), &long_ago), 0);
  ASSERT_EQ(store_.Quarantine(Sha256Of("a")), OkStatus());
  ASSERT_TRUE(store_.RemoveStale(hours(1), hours(1)).ok());
  EXPECT_TRUE(PathExists(directory_ / "quarantine/" + Sha256Of("a").ToHex()));
}

TEST_F(BlobStoreTest, KnowsItsOldBlobs) {
  Put("a");
  Put("b");
  const utimbuf long_ago{0, 0};
  ASSERT_EQ(utime(store_.PathOf(Sha256Of("a")).c_str(), &long_ago), 0);
  EXPECT_EQ(*store_.OlderThan(hours(1)), std::vector<Digest>{Sha256Of("a")});
}

}  // namespace
}  // namespace tributary

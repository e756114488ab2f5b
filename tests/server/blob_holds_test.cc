#include "server/blob_holds.h"

#include <gtest/gtest.h>

namespace tributary::server {
namespace {

bool Removes(BlobHolds& holds, const Digest& digest) {
  bool removed = false;
  holds.UnlessHeld(digest, [&] { removed = true; });
  return removed;
}

TEST(BlobHoldsTest, ABlobStaysUntilItsLastHolderIsGone) {
  BlobHolds holds;
  const Digest digest = Sha256Of("update");
  BlobHolds::Hold first = holds.Take(digest);
  BlobHolds::Hold second = holds.Take(digest);
  BlobHolds::Hold copy = second;
  EXPECT_TRUE(Removes(holds, Sha256Of("another")));
  first.reset();
  second.reset();
  EXPECT_FALSE(Removes(holds, digest));
  copy.reset();
  EXPECT_TRUE(Removes(holds, digest));
}

}  // namespace
}  // namespace tributary::server

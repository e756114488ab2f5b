#include "client/backoff.h"

#include <gtest/gtest.h>

#include <set>

namespace tributary::client {
namespace {

using std::chrono::milliseconds;

TEST(BackoffTest, DoublesUpToTheLongestWithJitter) {
  Backoff backoff(milliseconds(100), milliseconds(1000));
  for (const std::int64_t delay : {100, 200, 400, 800, 1000, 1000, 1000}) {
    const auto next = backoff.Next().count();
    EXPECT_GE(next, delay / 2);
    EXPECT_LE(next, delay);
  }
}

TEST(BackoffTest, StartsAgainAfterASuccess) {
  Backoff backoff(milliseconds(100), milliseconds(100000));
  for (int i = 0; i < 8; ++i) (void)backoff.Next();
  backoff.Reset();
  EXPECT_LE(backoff.Next(), milliseconds(100));
  EXPECT_GT(backoff.Next(), milliseconds(99));
}

TEST(BackoffTest, IsAsLongAsAnyWhenStretched) {
  Backoff backoff(milliseconds(100), milliseconds(100000));
  backoff.Stretch();
  EXPECT_GE(backoff.Next(), milliseconds(50000));
  backoff.Reset();
  EXPECT_LE(backoff.Next(), milliseconds(100));
}

TEST(BackoffTest, SitesDoNotComeBackTogether) {
  std::set<std::int64_t> delays;
  for (int site = 0; site < 50; ++site) {
    delays.insert(Backoff(milliseconds(100000), milliseconds(100000)).Next().count());
  }
  EXPECT_GT(delays.size(), 25u);
}

}  // namespace
}  // namespace tributary::client

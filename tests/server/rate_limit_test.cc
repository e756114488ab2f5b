#include "server/rate_limit.h"

#include <gtest/gtest.h>

#include <string>

namespace tributary::server {
namespace {

using std::chrono::seconds;

constexpr Rate kRate{.per_second = 0.5, .burst = 3};

class RateLimitTest : public testing::Test {
 protected:
  // How often in a row.
  int Admitted(RateLimit& limit, const std::string& who) {
    int times = 0;
    while (times < 100 && limit.Admit(who, kRate, now_)) ++times;
    return times;
  }
  RateLimit::Time now_ = RateLimit::Time() + seconds(1000);
};

TEST_F(RateLimitTest, EverybodyHasABurstAndThenItsRate) {
  RateLimit limit;
  EXPECT_EQ(Admitted(limit, "a"), 3);
  EXPECT_EQ(Admitted(limit, "b"), 3);
  now_ += seconds(4);
  EXPECT_EQ(Admitted(limit, "a"), 2);
  now_ += seconds(1000);
  EXPECT_EQ(Admitted(limit, "a"), 3);
}

TEST_F(RateLimitTest, TooManyShareOneBucketUntilOthersAreQuiet) {
  RateLimit limit(2);
  EXPECT_EQ(Admitted(limit, "a"), 3);
  EXPECT_EQ(Admitted(limit, "b"), 3);
  EXPECT_EQ(Admitted(limit, "c"), 3);
  EXPECT_EQ(Admitted(limit, "d"), 0);
  EXPECT_EQ(Admitted(limit, "a"), 0) << "it is known";
  now_ += seconds(6);
  EXPECT_EQ(Admitted(limit, "d"), 3);
  EXPECT_EQ(Admitted(limit, "c"), 3);
}

}  // namespace
}  // namespace tributary::server

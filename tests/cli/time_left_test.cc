#include "cli/time_left.h"

#include <gtest/gtest.h>

namespace tributary::cli {
namespace {

using std::chrono::seconds;

TimeLeft::Time At(int second) { return TimeLeft::Time(seconds(second)); }

TEST(TimeLeftTest, SaysNothingBeforeThereIsASpeed) {
  TimeLeft left(100);
  EXPECT_FALSE(left.Left().has_value());
  left.Note(At(0), 10);
  EXPECT_FALSE(left.Left().has_value());
  left.Note(At(5), 10);
  EXPECT_FALSE(left.Left().has_value());
}

TEST(TimeLeftTest, WhatWasDoneBeforeARestartIsNoSpeed) {
  TimeLeft left(1000);
  left.Note(At(0), 900);
  left.Note(At(10), 920);
  EXPECT_EQ(left.Left(), seconds(40));
}

TEST(TimeLeftTest, FollowsAChangeOfSpeedWithinAMinute) {
  TimeLeft left(10000);
  for (int second = 0; second <= 100; ++second) left.Note(At(second), 10L * second);
  EXPECT_EQ(left.Left(), seconds(900));
  for (int second = 101; second <= 170; ++second) left.Note(At(second), 1000 + (second - 100));
  EXPECT_EQ(left.Left(), seconds(10000 - 1070));
}

TEST(TimeLeftTest, IsNothingAtTheEnd) {
  TimeLeft left(10);
  left.Note(At(0), 0);
  left.Note(At(4), 12);
  EXPECT_EQ(left.Left(), seconds(0));
}

TEST(TimeLeftTest, RoundsForPeople) {
  EXPECT_EQ(LeftText(seconds(0)), "about 0 s left");
  EXPECT_EQ(LeftText(seconds(7)), "about 7 s left");
  EXPECT_EQ(LeftText(seconds(41)), "about 45 s left");
  EXPECT_EQ(LeftText(seconds(89)), "about 90 s left");
  EXPECT_EQ(LeftText(seconds(100)), "about 2 min left");
  EXPECT_EQ(LeftText(seconds(1500)), "about 25 min left");
}

}  // namespace
}  // namespace tributary::cli

#include "core/clock.h"

#include <gtest/gtest.h>

#include <thread>

namespace tributary {
namespace {

TEST(ClockTest, FormatsUtcWithMicroseconds) {
  EXPECT_EQ(FormatTimestamp(Timestamp{}), "1970-01-01T00:00:00.000000Z");
  EXPECT_EQ(FormatTimestamp(TimestampFromMicros(1772357400000250)), "2026-03-01T09:30:00.000250Z");
  EXPECT_EQ(FormatTimestamp(TimestampFromMicros(-1)), "1969-12-31T23:59:59.999999Z");
}

TEST(ClockTest, TimesOutsideFourDigitYearsAreTheNearestInside) {
  EXPECT_EQ(FormatTimestamp(TimestampFromMicros(INT64_MAX)), "9999-12-31T23:59:59.999999Z");
  EXPECT_EQ(FormatTimestamp(TimestampFromMicros(253402300800000000)),
            "9999-12-31T23:59:59.999999Z");
  EXPECT_EQ(FormatTimestamp(TimestampFromMicros(INT64_MIN)), "0000-01-01T00:00:00.000000Z");
  EXPECT_TRUE(ParseTimestamp(FormatTimestamp(TimestampFromMicros(INT64_MAX))).ok());
}

TEST(ClockTest, ParsesWhatItFormats) {
  for (const std::int64_t micros : {0LL, 1LL, -1LL, 1772357400000250LL, 4102444799999999LL}) {
    EXPECT_EQ(ToMicros(*ParseTimestamp(FormatTimestamp(TimestampFromMicros(micros)))), micros);
  }
  EXPECT_EQ(ToMicros(*ParseTimestamp("1970-01-01T00:00:01Z")), 1000000);
  EXPECT_EQ(ToMicros(*ParseTimestamp("1970-01-01T00:00:01.5Z")), 1500000);
}

TEST(ClockTest, RefusesOtherForms) {
  for (const std::string_view text :
       {"", "2026-03-01", "2026-02-30T00:00:00Z", "2026-03-01T24:00:00Z", "2026-03-01T00:00:00",
        "2026-03-01T00:00:00.Z", "2026-03-01T00:00:00.1234567Z", "2026-03-01 00:00:00Z",
        "2026-03-01T00:00:00+01:00", "2026-13-01T00:00:00Z"}) {
    EXPECT_FALSE(ParseTimestamp(text).ok()) << text;
  }
}

TEST(ClockTest, FakeClockMovesOnlyWhenMoved) {
  FakeClock clock(TimestampFromMicros(5));
  EXPECT_EQ(ToMicros(clock.Now()), 5);
  clock.Advance(std::chrono::seconds(1));
  EXPECT_EQ(ToMicros(clock.Now()), 1000005);
  clock.Set(TimestampFromMicros(7));
  EXPECT_EQ(ToMicros(clock.Now()), 7);
  EXPECT_EQ(clock.Elapsed(), std::chrono::seconds(1));  // setting it is no time that passes
}

TEST(ClockTest, ElapsedNeverGoesBack) {
  const SystemClock clock;
  const auto before = clock.Elapsed();
  EXPECT_GE(clock.Elapsed(), before);
  EXPECT_GE(SystemClock().Elapsed(), before);  // of the process, not of the object
}

TEST(ClockTest, SystemClockIsInThisCentury) {
  const std::string now = FormatTimestamp(SystemClock().Now());
  EXPECT_GT(now, "2025-01-01");
  EXPECT_LT(now, "2100-01-01");
}

TEST(MutexTest, CondVarHandsWorkOver) {
  Mutex mutex;
  CondVar changed;
  int value = 0;
  std::thread producer([&] {
    MutexLock lock(mutex);
    value = 42;
    changed.NotifyAll();
  });
  {
    MutexLock lock(mutex);
    while (value == 0) changed.Wait(mutex);
    EXPECT_EQ(value, 42);
    EXPECT_FALSE(changed.WaitFor(mutex, std::chrono::microseconds(0)));
  }
  producer.join();
}

}  // namespace
}  // namespace tributary

#include "server/stall_watch.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <mutex>

namespace tributary::server {
namespace {

using std::chrono::milliseconds;

// Says when it was cancelled the first time.
struct Call {
  std::promise<void> promise;
  std::once_flag once;
  std::function<void()> cancel = [this] { std::call_once(once, [this] { promise.set_value(); }); };
};

bool No() { return false; }

TEST(StallWatchTest, CancelsOnlyWhatDoesNotMove) {
  StallWatch watch(milliseconds(250), 1'000'000, 1'000'000);
  Call stalled, slow;
  std::atomic<bool> cancelled_moving = false;
  const auto first = watch.Watch("stalled", No, stalled.cancel);
  const auto second = watch.Watch("slow", No, slow.cancel);
  const auto moving = watch.Watch("moving", No, [&] { cancelled_moving = true; });
  auto stalled_ended = stalled.promise.get_future();
  auto slow_ended = slow.promise.get_future();
  while (slow_ended.wait_for(milliseconds(1)) != std::future_status::ready) {
    moving->Moved(std::uint64_t{1} << 40);
    second->Moved(1);
  }
  stalled_ended.wait();
  EXPECT_FALSE(cancelled_moving);
}

TEST(StallWatchTest, ASlowTransferMustBeFasterWhileOthersWait) {
  StallWatch watch(milliseconds(250), 1, std::uint64_t{1} << 30);
  Call slow;
  std::atomic<bool> cancelled_alone = false;
  const auto waited_for = watch.Watch(
      "slow", [] { return true; }, slow.cancel);
  const auto alone = watch.Watch("alone", No, [&] { cancelled_alone = true; });
  auto ended = slow.promise.get_future();
  while (ended.wait_for(milliseconds(1)) != std::future_status::ready) {
    waited_for->Moved(2);
    alone->Moved(2);
  }
  EXPECT_FALSE(cancelled_alone);
}

TEST(StallWatchTest, WhatHasGoneIsNotCancelled) {
  StallWatch watch(milliseconds(1), 1000, 1000);
  Call other;
  bool cancelled = false;
  {
    const auto gone = watch.Watch("gone", No, [&] { cancelled = true; });
  }
  const auto stalled = watch.Watch("stalled", No, other.cancel);
  other.promise.get_future().wait();
  EXPECT_FALSE(cancelled);
}

}  // namespace
}  // namespace tributary::server

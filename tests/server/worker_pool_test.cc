#include "server/worker_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <new>

namespace tributary::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::chrono::seconds kLong{60};

TEST(WorkerPoolTest, FinishesWhatIsQueuedBeforeItGoes) {
  std::atomic<int> done = 0;
  {
    WorkerPool pool(3);
    for (int i = 0; i < 1000; ++i) pool.Submit([&] { ++done; });
  }
  EXPECT_EQ(done, 1000);
}

TEST(WorkerPoolTest, WhatIsDroppedIsNeverBegun) {
  std::promise<void> begun;
  std::promise<void> release;
  std::atomic<int> done = 0;
  {
    WorkerPool pool(1);
    pool.Submit([&] {
      begun.set_value();
      release.get_future().wait();
      ++done;
    });
    begun.get_future().wait();
    for (int i = 0; i < 10; ++i) pool.Submit([&] { ++done; });
    pool.DropQueued();
    release.set_value();
  }
  EXPECT_EQ(done, 1);
}

TEST(WorkerPoolTest, OneThreadKeepsTheOrder) {
  std::vector<int> order;
  {
    WorkerPool pool(1);
    for (int i = 0; i < 5; ++i) pool.Submit([&order, i] { order.push_back(i); });
  }
  EXPECT_THAT(order, ElementsAre(0, 1, 2, 3, 4));
}

TEST(WorkerPoolTest, ThreadsWorkSideBySide) {
  WorkerPool pool(2);
  std::promise<void> one;
  std::promise<void> two;
  std::promise<void> both;
  pool.Submit([&] {
    one.set_value();
    two.get_future().wait();
    both.set_value();
  });
  pool.Submit([&] {
    one.get_future().wait();
    two.set_value();
  });
  EXPECT_EQ(both.get_future().wait_for(kLong), std::future_status::ready);
}

TEST(WorkerPoolTest, WorkMayOrderMoreWork) {
  std::promise<void> done;
  WorkerPool pool(1);
  pool.Submit([&] { pool.Submit([&] { done.set_value(); }); });
  EXPECT_EQ(done.get_future().wait_for(kLong), std::future_status::ready);
}

TEST(WorkerPoolTest, WorkThatThrowsEndsNothingElse) {
  std::promise<void> done;
  WorkerPool pool(1);
  pool.Submit([] { throw std::bad_alloc(); });
  pool.Submit([] { throw 7; });
  pool.Submit([&] { done.set_value(); });
  EXPECT_EQ(done.get_future().wait_for(kLong), std::future_status::ready);
}

TEST(WorkerPoolTest, RefusesWhatPeersOrderWhenTooMuchWaits) {
  std::promise<void> release;
  std::promise<void> begun;
  std::atomic<int> done = 0;
  {
    WorkerPool pool(1, "enrollments", 2);
    pool.Submit([&] {
      begun.set_value();
      release.get_future().wait();
    });
    begun.get_future().wait();
    EXPECT_EQ(pool.TrySubmit([&] { ++done; }), OkStatus());
    EXPECT_EQ(pool.TrySubmit([&] { ++done; }), OkStatus());
    const Status full = pool.TrySubmit([&] { ++done; });
    EXPECT_EQ(full.code(), StatusCode::kResourceExhausted);
    EXPECT_THAT(full.message(), HasSubstr("2 calls wait for its enrollments"));
    pool.Submit([&] { ++done; });  // the server's own
    release.set_value();
  }
  EXPECT_EQ(done, 3);
}

}  // namespace
}  // namespace tributary::server

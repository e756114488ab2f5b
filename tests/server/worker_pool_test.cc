#include "server/worker_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>

namespace tributary::server {
namespace {

using testing::ElementsAre;

TEST(WorkerPoolTest, FinishesWhatIsQueuedBeforeItGoes) {
  std::atomic<int> done = 0;
  {
    WorkerPool pool(3);
    for (int i = 0; i < 1000; ++i) pool.Submit([&] { ++done; });
  }
  EXPECT_EQ(done, 1000);
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
  both.get_future().wait();
}

TEST(WorkerPoolTest, WorkMayOrderMoreWork) {
  std::promise<void> done;
  WorkerPool pool(1);
  pool.Submit([&] { pool.Submit([&] { done.set_value(); }); });
  done.get_future().wait();
}

TEST(AdmissionGateTest, LetsInAsManyAsTheLimit) {
  AdmissionGate gate(2);
  std::vector<int> inside;
  for (int i = 0; i < 4; ++i) gate.Enter([&inside, i] { inside.push_back(i); });
  EXPECT_THAT(inside, ElementsAre(0, 1));
  gate.Leave();
  EXPECT_THAT(inside, ElementsAre(0, 1, 2));
  gate.Leave();
  gate.Leave();
  EXPECT_THAT(inside, ElementsAre(0, 1, 2, 3));
}

TEST(AdmissionGateTest, AFreePlaceIsTakenAtOnce) {
  AdmissionGate gate(1);
  std::vector<int> inside;
  gate.Enter([&] { inside.push_back(1); });
  gate.Leave();
  EXPECT_THAT(inside, ElementsAre(1));
  gate.Enter([&] { inside.push_back(2); });
  EXPECT_THAT(inside, ElementsAre(1, 2));
}

TEST(AdmissionGateTest, AHolderMayLeaveFromWithin) {
  AdmissionGate gate(1);
  int entered = 0;
  for (int i = 0; i < 3; ++i) {
    gate.Enter([&] {
      ++entered;
      gate.Leave();
    });
  }
  EXPECT_EQ(entered, 3);
}

TEST(AdmissionGateTest, HoldsUnderContention) {
  AdmissionGate gate(3);
  std::atomic<int> inside = 0;
  std::atomic<int> most = 0;
  std::atomic<int> served = 0;
  {
    WorkerPool pool(8);
    for (int i = 0; i < 2000; ++i) {
      pool.Submit([&] {
        gate.Enter([&] {
          const int now = ++inside;
          int seen = most;
          while (now > seen && !most.compare_exchange_weak(seen, now)) {
          }
          ++served;
          --inside;
          gate.Leave();
        });
      });
    }
  }
  EXPECT_EQ(served, 2000);
  EXPECT_LE(most, 3);
}

}  // namespace
}  // namespace tributary::server

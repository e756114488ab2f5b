#include "server/admission_gate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <vector>

#include "server/worker_pool.h"

namespace tributary::server {
namespace {

using testing::ElementsAre;

// Who came in, in order.
class AdmissionGateTest : public testing::Test {
 protected:
  void Enter(AdmissionGate& gate, const std::string& owner) {
    EXPECT_EQ(gate.Enter(owner, [this, owner] { inside_.push_back(owner); }), OkStatus());
  }
  std::vector<std::string> inside_;
};

TEST_F(AdmissionGateTest, LetsInAsManyAsTheLimit) {
  AdmissionGate gate(2);
  for (const char* owner : {"a", "b", "c", "d"}) Enter(gate, owner);
  EXPECT_THAT(inside_, ElementsAre("a", "b"));
  EXPECT_TRUE(gate.Contested());
  gate.Leave("a");
  EXPECT_THAT(inside_, ElementsAre("a", "b", "c"));
  gate.Leave("b");
  gate.Leave("c");
  EXPECT_THAT(inside_, ElementsAre("a", "b", "c", "d"));
  EXPECT_FALSE(gate.Contested());
}

TEST_F(AdmissionGateTest, AFreePlaceIsTakenAtOnce) {
  AdmissionGate gate(1);
  Enter(gate, "a");
  gate.Leave("a");
  EXPECT_THAT(inside_, ElementsAre("a"));
  Enter(gate, "a");
  EXPECT_THAT(inside_, ElementsAre("a", "a"));
}

TEST_F(AdmissionGateTest, OfTwoPlacesAnOwnerHasOne) {
  AdmissionGate gate(2);
  for (const char* owner : {"greedy", "greedy", "greedy", "a"}) Enter(gate, owner);
  EXPECT_THAT(inside_, ElementsAre("greedy", "a"));
}

TEST_F(AdmissionGateTest, OneOwnerNeverHoldsEveryPlace) {
  AdmissionGate gate(8);
  for (int i = 0; i < 20; ++i) Enter(gate, "greedy");
  EXPECT_EQ(inside_.size(), 4u);
  EXPECT_FALSE(gate.Contested()) << "only it waits, for itself";
  for (int i = 0; i < 4; ++i) Enter(gate, "other");
  EXPECT_EQ(inside_.size(), 8u);
}

TEST_F(AdmissionGateTest, APlaceGoesToWhoHoldsFewest) {
  AdmissionGate gate(4);
  for (const char* owner : {"a", "a", "b", "b"}) Enter(gate, owner);
  inside_.clear();
  for (const char* owner : {"a", "b", "c", "d"}) Enter(gate, owner);
  EXPECT_TRUE(inside_.empty());
  gate.Leave("a");
  EXPECT_THAT(inside_, ElementsAre("c"));
  gate.Leave("b");
  EXPECT_THAT(inside_, ElementsAre("c", "d"));
  gate.Leave("c");
  EXPECT_THAT(inside_, ElementsAre("c", "d", "a"));
}

TEST_F(AdmissionGateTest, RefusesAnOwnerOfWhomTooManyWait) {
  AdmissionGate gate(2);
  Enter(gate, "a");
  for (std::size_t i = 0; i < AdmissionGate::kMostWaiting; ++i) Enter(gate, "a");
  EXPECT_EQ(gate.Enter("a", [] { FAIL(); }).code(), StatusCode::kResourceExhausted);
  Enter(gate, "b");
  EXPECT_THAT(inside_, ElementsAre("a", "b"));
}

TEST_F(AdmissionGateTest, AHolderMayLeaveFromWithin) {
  AdmissionGate gate(1);
  int entered = 0;
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(gate.Enter("a",
                         [&] {
                           ++entered;
                           gate.Leave("a");
                         }),
              OkStatus());
  }
  EXPECT_EQ(entered, 3);
}

TEST_F(AdmissionGateTest, HoldsUnderContention) {
  AdmissionGate gate(3);
  std::atomic<int> inside = 0;
  std::atomic<int> most = 0;
  std::atomic<int> served = 0;
  {
    WorkerPool pool(8);
    for (int i = 0; i < 2000; ++i) {
      pool.Submit([&, owner = std::to_string(i % 100)] {
        const Status status = gate.Enter(owner, [&, owner] {
          const int now = ++inside;
          int seen = most;
          while (now > seen && !most.compare_exchange_weak(seen, now)) {
          }
          ++served;
          --inside;
          gate.Leave(owner);
        });
        EXPECT_EQ(status, OkStatus());
      });
    }
  }
  EXPECT_EQ(served, 2000);
  EXPECT_LE(most, 3);
}

}  // namespace
}  // namespace tributary::server

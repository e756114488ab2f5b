#include "server/sessions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/peer_slots.h"

namespace tributary::server {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

class FakeStream final : public SiteStream {
 public:
  void Send(v1::ServerMessage) override { ++sent; }
  void Close(const std::string& reason) override { closed = reason; }
  int sent = 0;
  std::string closed;
};

class SessionsTest : public testing::Test {
 protected:
  using Stream = std::shared_ptr<FakeStream>;

  Status Add(const Stream& stream, const std::string& instance, int at) {
    return sessions_.Add("chem", stream, {instance, "login2", "1.0", seconds(60)}, Timestamp{},
                         At(at));
  }
  Sessions::Monotonic At(int second) const { return start_ + seconds(second); }
  bool Reaches(const Stream& stream) {
    const int before = stream->sent;
    sessions_.Send("chem", {});
    return stream->sent > before;
  }

  const Sessions::Monotonic start_ = Sessions::Monotonic{} + std::chrono::hours(1);
  Sessions sessions_;
  const Stream first_ = std::make_shared<FakeStream>();
  const Stream second_ = std::make_shared<FakeStream>();
};

TEST_F(SessionsTest, ASecondDaemonIsRefusedByNameWithWhatToDo) {
  ASSERT_TRUE(Add(first_, "one", 0).ok());
  sessions_.Touch("chem", first_.get(), Timestamp{}, At(50));
  const Status refused = Add(second_, "two", 55);
  EXPECT_EQ(refused.code(), StatusCode::kAlreadyExists);
  EXPECT_THAT(refused.message(), HasSubstr("site chem is served by another daemon on host login2"));
  EXPECT_THAT(refused.message(), HasSubstr("heard 5 s ago"));
  EXPECT_THAT(refused.message(), HasSubstr("stop one of the two"));
  EXPECT_EQ(first_->closed, "") << "the first is not evicted";
  EXPECT_TRUE(Reaches(first_));
  EXPECT_TRUE(sessions_.Add("bio", second_, {"two", "", "", seconds(60)}, {}, At(55)).ok());
}

TEST_F(SessionsTest, ADaemonThatComesBackTakesItsOwnPlaceAtOnce) {
  ASSERT_TRUE(Add(first_, "one", 0).ok());
  ASSERT_TRUE(Add(second_, "one", 1).ok());  // its first connection is half open
  EXPECT_THAT(first_->closed, HasSubstr("took over"));
  EXPECT_TRUE(Reaches(second_));
  sessions_.Remove("chem", first_.get(), Timestamp{});  // what is left of the first says goodbye
  EXPECT_TRUE(Reaches(second_));
  EXPECT_TRUE(sessions_.Info("chem").connected);
}

TEST_F(SessionsTest, ADaemonWhoseMachineIsGoneLocksNobodyOut) {
  ASSERT_TRUE(Add(first_, "one", 0).ok());
  EXPECT_FALSE(Add(second_, "two", 59).ok());
  sessions_.Touch("chem", second_.get(), Timestamp{}, At(59));  // not the current stream's word
  EXPECT_TRUE(Add(second_, "two", 60).ok());
  EXPECT_NE(first_->closed, "");
  EXPECT_TRUE(Reaches(second_));
  // The first one wakes up (a machine that was asleep) and is the second now.
  EXPECT_FALSE(Add(first_, "one", 61).ok());
}

TEST_F(SessionsTest, AStreamThatEndedLeavesThePlaceFree) {
  ASSERT_TRUE(Add(first_, "one", 0).ok());
  sessions_.Remove("chem", first_.get(), Timestamp{});
  EXPECT_TRUE(Add(second_, "two", 1).ok());
}

// Clients before there was an instance: only their silence tells whether they are there.
TEST_F(SessionsTest, OlderClientsAreJudgedBySilenceAlone) {
  ASSERT_TRUE(Add(first_, "", 0).ok());
  EXPECT_FALSE(Add(second_, "", 30).ok());
  EXPECT_TRUE(Add(second_, "", 60).ok());
}

TEST(PeerSlotsTest, OneMemberCannotTakeThemAll) {
  PeerSlots slots(2);
  auto first = slots.Take("a");
  const auto second = slots.Take("a");
  EXPECT_TRUE(first && second);
  EXPECT_FALSE(slots.Take("a"));
  EXPECT_TRUE(slots.Take("b"));
  first.reset();
  EXPECT_TRUE(slots.Take("a"));
}

TEST_F(SessionsTest, ASiteThatVisitsIsAwayWhenItComesMuchLaterThanUsual) {
  const auto at = [](int minutes) { return Timestamp(std::chrono::minutes(minutes)); };
  ASSERT_TRUE(
      sessions_.Add("chem", first_, {"one", "", "1.0", seconds(60), seconds(900)}, at(0), At(0))
          .ok());
  EXPECT_FALSE(sessions_.Info("chem").Away(at(0)));
  sessions_.Remove("chem", first_.get(), at(1));
  EXPECT_FALSE(sessions_.Info("chem").Away(at(16)));
  EXPECT_FALSE(sessions_.Info("chem").Away(at(32)));
  EXPECT_TRUE(sessions_.Info("chem").Away(at(33)));
  ASSERT_TRUE(Add(second_, "two", 2).ok());
  sessions_.Remove("chem", second_.get(), at(3));
  EXPECT_TRUE(sessions_.Info("chem").Away(at(3))) << "one that stays is away when it is gone";
}

}  // namespace
}  // namespace tributary::server

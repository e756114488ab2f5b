#include "server/token_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/test_files.h"

namespace tributary::server {
namespace {

using security::Role;
using testing::HasSubstr;

Status Granted(const security::TokenRecord&) { return OkStatus(); }

class TokenStoreTest : public testing::Test {
 protected:
  void SetUp() override { Open(); }
  void Open() {
    store_.reset();
    auto store = TokenStore::Open(directory_ / "tokens.db");
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }
  std::string Create(const std::string& name = "chem") {
    return store_->Create(Role::kSite, name, now_, std::chrono::hours(1))->token;
  }
  Status Redeem(const std::string& token, std::chrono::seconds after) {
    return store_->Redeem(token, now_ + after, Granted).status();
  }

  const TestDirectory directory_;
  const Timestamp now_ = TimestampFromMicros(1'700'000'000'000'000);
  std::unique_ptr<TokenStore> store_;
};

TEST_F(TokenStoreTest, ATokenSaysWhomItIsForOnce) {
  const std::string token = store_->Create(Role::kLead, "lena", now_, std::chrono::hours(1))->token;
  const auto record = store_->Redeem(token, now_, Granted);
  ASSERT_TRUE(record.ok()) << record.status();
  EXPECT_EQ(record->role, Role::kLead);
  EXPECT_EQ(record->name, "lena");
  EXPECT_EQ(record->expires, now_ + std::chrono::hours(1));
  const Status again = Redeem(token, std::chrono::seconds(1));
  EXPECT_EQ(again.code(), StatusCode::kUnauthenticated);
  EXPECT_THAT(again.message(), HasSubstr("used"));
}

// Two tokens for one name would be two daemons with one name.
TEST_F(TokenStoreTest, ASecondTokenForANameTakesThePlaceOfTheFirst) {
  const std::string first = Create();
  const std::string other = Create("bio");
  const auto second = store_->Create(Role::kSite, "chem", now_, std::chrono::hours(1));
  EXPECT_THAT(second->notes, testing::ElementsAre("the earlier token for chem is good no more"));
  EXPECT_EQ(Redeem(first, std::chrono::seconds(1)).code(), StatusCode::kUnauthenticated);
  EXPECT_TRUE(Redeem(other, std::chrono::seconds(1)).ok());
  EXPECT_TRUE(Redeem(second->token, std::chrono::seconds(1)).ok());
  const auto third = store_->Create(Role::kSite, "chem", now_, std::chrono::hours(1));
  ASSERT_EQ(third->notes.size(), 1u);
  EXPECT_THAT(third->notes[0], HasSubstr("chem has joined already"));
  EXPECT_EQ(Redeem(second->token, std::chrono::seconds(2)).code(), StatusCode::kUnauthenticated);
  EXPECT_TRUE(store_->Create(Role::kLead, "chem", now_, std::chrono::hours(1))->notes.empty());
}

TEST_F(TokenStoreTest, ATokenWhoseUseFailsIsStillGood) {
  const std::string token = Create();
  const auto refused = store_->Redeem(token, now_, [](const security::TokenRecord& record) {
    return InvalidArgumentError("bad request of " + record.name);
  });
  EXPECT_EQ(refused.status(), InvalidArgumentError("bad request of chem"));
  EXPECT_TRUE(Redeem(token, std::chrono::seconds(1)).ok());
}

TEST_F(TokenStoreTest, ATokenExpires) {
  const std::string token = Create();
  const Status late = Redeem(token, std::chrono::hours(1) + std::chrono::seconds(1));
  EXPECT_EQ(late.code(), StatusCode::kUnauthenticated);
  EXPECT_THAT(late.message(), HasSubstr("expired"));
  EXPECT_TRUE(Redeem(token, std::chrono::minutes(59)).ok());  // a refusal does not use it up
}

TEST_F(TokenStoreTest, UseAndTokensSurviveAReopen) {
  const std::string used = Create();
  const std::string fresh = Create("bio");
  ASSERT_TRUE(Redeem(used, std::chrono::seconds(1)).ok());
  Open();
  EXPECT_EQ(Redeem(used, std::chrono::seconds(2)).code(), StatusCode::kUnauthenticated);
  EXPECT_TRUE(Redeem(fresh, std::chrono::seconds(2)).ok());
}

TEST_F(TokenStoreTest, UnknownTokensAreRefusedWithoutQuotingThem) {
  for (const std::string& token : {std::string(), std::string("guess"), Create() + "x"}) {
    const Status status = Redeem(token, std::chrono::seconds(1));
    EXPECT_EQ(status.code(), StatusCode::kUnauthenticated);
    if (!token.empty()) {
      EXPECT_THAT(status.message(), testing::Not(HasSubstr(token)));
    }
  }
}

TEST_F(TokenStoreTest, StoresHashesOnly) {
  const std::string token = Create();
  store_.reset();
  EXPECT_THAT(*ReadFile(directory_ / "tokens.db"), testing::Not(HasSubstr(token)));
  EXPECT_THAT(*ReadFile(directory_ / "tokens.db"), HasSubstr(security::HashEnrollmentToken(token)));
}

TEST_F(TokenStoreTest, RefusesABadName) {
  for (const char* name : {"", "Chem", "a/b", "-a"}) {
    EXPECT_EQ(store_->Create(Role::kSite, name, now_, std::chrono::hours(1)).status().code(),
              StatusCode::kInvalidArgument)
        << name;
  }
}

// As those files were before they had a version.
TEST_F(TokenStoreTest, AFileWithoutAVersionIsRead) {
  const std::string token = Create();
  store_.reset();
  {
    auto database = Database::Open(directory_ / "tokens.db");
    ASSERT_TRUE(database.ok() && database->Execute("PRAGMA user_version=0").ok());
  }
  Open();
  EXPECT_TRUE(Redeem(token, std::chrono::seconds(1)).ok());
}

}  // namespace
}  // namespace tributary::server

#include "security/enrollment_token.h"

#include <gtest/gtest.h>

#include <set>

namespace tributary::security {
namespace {

const Timestamp kAsked = TimestampFromMicros(1772357400'000000);

TokenRecord RecordOf(const std::string& token) {
  return {HashEnrollmentToken(token), Role::kSite, "alpha", kAsked + std::chrono::hours(24), {}};
}

TEST(EnrollmentTokenTest, TokensAreLongAndDiffer) {
  std::set<std::string> tokens;
  for (int i = 0; i < 100; ++i) tokens.insert(*NewEnrollmentToken());
  EXPECT_EQ(tokens.size(), 100u);
  for (const std::string& token : tokens) {
    EXPECT_EQ(token.size(), 43u);
    EXPECT_EQ(
        token.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
        std::string::npos);
  }
}

TEST(EnrollmentTokenTest, HashIsSha256InHex) {
  EXPECT_EQ(HashEnrollmentToken("abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(EnrollmentTokenTest, FreshTokenMayBeUsedUntilItExpires) {
  const std::string token = *NewEnrollmentToken();
  const TokenRecord record = RecordOf(token);
  EXPECT_TRUE(JudgeEnrollmentToken(record, token, kAsked).ok());
  EXPECT_TRUE(
      JudgeEnrollmentToken(record, token, record.expires - std::chrono::microseconds(1)).ok());
  const Status expired = JudgeEnrollmentToken(record, token, record.expires);
  EXPECT_EQ(expired,
            UnauthenticatedError("enrollment token expired at 2026-03-02T09:30:00.000000Z"));
}

TEST(EnrollmentTokenTest, UsedTokenIsRefusedEvenBeforeItExpires) {
  const std::string token = *NewEnrollmentToken();
  TokenRecord record = RecordOf(token);
  record.used_at = kAsked;
  EXPECT_EQ(
      JudgeEnrollmentToken(record, token, kAsked),
      UnauthenticatedError("enrollment token was already used at 2026-03-01T09:30:00.000000Z"));
}

TEST(EnrollmentTokenTest, OtherTokensAreUnknownWhateverIsStored) {
  const std::string token = *NewEnrollmentToken();
  TokenRecord record = RecordOf(token);
  const Status unknown = UnauthenticatedError("enrollment token is unknown");
  EXPECT_EQ(JudgeEnrollmentToken(std::nullopt, token, kAsked), unknown);
  EXPECT_EQ(JudgeEnrollmentToken(record, *NewEnrollmentToken(), kAsked), unknown);
  EXPECT_EQ(JudgeEnrollmentToken(record, record.hash, kAsked), unknown);
  EXPECT_EQ(JudgeEnrollmentToken(record, "", kAsked), unknown);
  record.hash.clear();
  EXPECT_EQ(JudgeEnrollmentToken(record, "", kAsked), unknown);
}

}  // namespace
}  // namespace tributary::security

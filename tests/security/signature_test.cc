#include "security/signature.h"

#include <gtest/gtest.h>

#include "tests/security/test_federation.h"

namespace tributary::security {
namespace {

TEST(SignatureTest, VerifiesOnlyTheSameBytesByTheSameKey) {
  const TestFederation federation;
  const TestMember alpha = federation.Member(Role::kSite, "alpha");
  const TestMember beta = federation.Member(Role::kSite, "beta");
  const std::string bytes("update\0of alpha", 15);
  const std::string signature = *Sign(alpha.key, bytes);
  EXPECT_TRUE(Verify(alpha.certificate, bytes, signature).ok());
  EXPECT_EQ(Verify(beta.certificate, bytes, signature).code(), StatusCode::kUnauthenticated);
  EXPECT_EQ(Verify(alpha.certificate, bytes + " ", signature).code(), StatusCode::kUnauthenticated);
  for (std::size_t i = 0; i < signature.size(); ++i) {
    std::string broken = signature;
    broken[i] = static_cast<char>(broken[i] ^ 1);
    EXPECT_FALSE(Verify(alpha.certificate, bytes, broken).ok()) << i;
  }
  EXPECT_FALSE(Verify(alpha.certificate, bytes, "").ok());
  EXPECT_EQ(Verify("garbage", bytes, signature).code(), StatusCode::kInvalidArgument);
}

TEST(SignatureTest, SignsNothingAndMuch) {
  const TestFederation federation;
  const TestMember alpha = federation.Member(Role::kSite, "alpha");
  for (const std::size_t size : {std::size_t{0}, std::size_t{1} << 20}) {
    const std::string bytes(size, 'x');
    EXPECT_TRUE(Verify(alpha.certificate, bytes, *Sign(alpha.key, bytes)).ok());
  }
}

}  // namespace
}  // namespace tributary::security

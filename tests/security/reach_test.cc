#include "security/reach.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/security/test_federation.h"

namespace tributary::security {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class ReachTest : public testing::Test {
 protected:
  const TestFederation federation_;
  const Timestamp now_ = SystemClock().Now();
};

TEST_F(ReachTest, NamesOfACertificateAreComparedAsTlsDoes) {
  const std::string pem = federation_.Server({"fed.example.org", "10.1.2.3", "::1"}).certificate;
  EXPECT_THAT(*CertificateNames(pem), ElementsAre("fed.example.org", "10.1.2.3", "::1"));
  for (const char* host : {"fed.example.org", "FED.example.org", "10.1.2.3", "::1"}) {
    EXPECT_TRUE(CheckCertificateName(pem, host).ok()) << host;
  }
  const Status other = CheckCertificateName(pem, "alias.example.org");
  EXPECT_THAT(other.message(), HasSubstr("is for fed.example.org, 10.1.2.3, ::1, not for "
                                         "alias.example.org"));
  EXPECT_THAT(other.message(), HasSubstr("server_name"));
}

TEST_F(ReachTest, AClockThatIsWrongIsSaid) {
  const std::string pem = federation_.Server({"a"}).certificate;
  EXPECT_TRUE(CheckCertificateTime(pem, "it", now_).ok());
  EXPECT_THAT(CheckCertificateTime(pem, "it", now_ - std::chrono::hours(1)).message(),
              HasSubstr("not valid before"));
  const Status late = CheckCertificateTime(pem, "it", now_ + std::chrono::hours(24 * 400));
  EXPECT_THAT(late.message(), HasSubstr("ended at"));
  EXPECT_THAT(late.message(), HasSubstr("this machine's clock says"));
}

TEST_F(ReachTest, EachStepHasItsWords) {
  const auto why = [&](const std::string& server, const std::string& member = "") {
    return ExplainReach({server, "", federation_.ca(), member}, now_, std::chrono::seconds(5))
        .message();
  };
  EXPECT_THAT(why("nowhere"), HasSubstr("is not host:port"));
  EXPECT_THAT(why("127.0.0.1:1"), HasSubstr("refused"));
  EXPECT_THAT(why("[::1]:1"), HasSubstr("[::1]:1"));
  const TestMember member = federation_.Member(
      Role::kSite, "alpha",
      ValidFrom(now_ - std::chrono::hours(24 * 40), std::chrono::hours(24 * 20)));
  EXPECT_THAT(why("127.0.0.1:1", member.certificate), HasSubstr("the own certificate ended"));
}

}  // namespace
}  // namespace tributary::security

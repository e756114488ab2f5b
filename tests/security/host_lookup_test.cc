#include "security/host_lookup.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

namespace tributary::security {
namespace {

using std::chrono::seconds;

auto In(seconds time) { return std::chrono::steady_clock::now() + time; }

TEST(HostLookupTest, AnAddressIsItsOwnName) {
  const auto four = LookUpHost("192.0.2.7", 8443, In(seconds(5)));
  ASSERT_TRUE(four.ok()) << four.status();
  ASSERT_EQ(four->size(), 1u);
  EXPECT_EQ(four->front().Text(), "192.0.2.7");
  EXPECT_EQ(four->front().family(), AF_INET);
  EXPECT_EQ(reinterpret_cast<const sockaddr_in*>(four->front().get())->sin_port, htons(8443));
  const auto six = LookUpHost("2001:db8::7", 1, In(seconds(5)));
  ASSERT_TRUE(six.ok()) << six.status();
  EXPECT_EQ(six->front().Text(), "2001:db8::7");
}

TEST(HostLookupTest, ThisMachineIsFoundWithoutAServer) {
  const auto found = LookUpHost("localhost", 1, In(seconds(5)));
  ASSERT_TRUE(found.ok()) << found.status();
  std::vector<std::string> texts;
  for (const HostAddress& address : *found) texts.push_back(address.Text());
  EXPECT_THAT(texts, testing::Contains("127.0.0.1"));
}

TEST(HostLookupTest, ANameThatIsNoneIsSaidInTime) {
  const auto began = std::chrono::steady_clock::now();
  const auto missing = LookUpHost("no.such.host.invalid", 1, In(seconds(2)));
  EXPECT_EQ(missing.status().code(), StatusCode::kUnavailable);
  EXPECT_THAT(missing.status().message(), testing::HasSubstr("look up the host: "));
  EXPECT_LT(std::chrono::steady_clock::now() - began, seconds(30));
  EXPECT_FALSE(LookUpHost("", 1, In(seconds(2))).ok());
  EXPECT_FALSE(LookUpHost(std::string("local\0host", 10), 1, In(seconds(2))).ok());
}

}  // namespace
}  // namespace tributary::security

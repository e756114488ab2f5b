#include "core/endpoint.h"

#include <gtest/gtest.h>

namespace tributary {
namespace {

TEST(EndpointTest, HostAndPortAreSplit) {
  EXPECT_EQ(SplitHostAndPort("a.b:80")->host, "a.b");
  EXPECT_EQ(SplitHostAndPort("[::1]:8443")->host, "::1");
  EXPECT_EQ(SplitHostAndPort("[::1]:8443")->port, 8443);
  for (const char* bad :
       {"", "host", "host:", ":1", "host:0", "host:65536", "host:1x", "::1:1", "[]:1", "[::1]"}) {
    EXPECT_FALSE(SplitHostAndPort(bad)) << bad;
  }
}

TEST(EndpointTest, AddressesOfSixteenBytesGetBrackets) {
  EXPECT_EQ(JoinHostAndPort("fed.example.org", 8443), "fed.example.org:8443");
  EXPECT_EQ(JoinHostAndPort("::1", 8443), "[::1]:8443");
  EXPECT_EQ(JoinHostAndPort("[::1]", 8443), "[::1]:8443");
  EXPECT_EQ(BareHost("[fd00::2]"), "fd00::2");
}

}  // namespace
}  // namespace tributary

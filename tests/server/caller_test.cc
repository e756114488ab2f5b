#include "server/caller.h"

#include <gtest/gtest.h>

namespace tributary::server {
namespace {

TEST(CallerTest, PeersDoNotHearWhereTheServerKeepsItsFiles) {
  EXPECT_EQ(WithoutDirectories("open /srv/x/blobs/ab12: no such file (2)"),
            "open ab12: no such file (2)");
  EXPECT_EQ(WithoutDirectories("/a/b"), "b");
  EXPECT_EQ(WithoutDirectories("rename /a/b to \"/c/d e\", (/f/g)"), "rename b to \"d e\", (g)");
  EXPECT_EQ(WithoutDirectories("metric loss/heldout, and/or 3/4"),
            "metric loss/heldout, and/or 3/4");
  EXPECT_EQ(WithoutDirectories("tributary://test/site/a /"), "tributary://test/site/a ");
  EXPECT_EQ(ToGrpc(ErrnoError("read /srv/data/blobs/ab", EIO)).error_message().find("/srv"),
            std::string::npos);
  EXPECT_EQ(ToGrpc(NotFoundError("/srv/data/blobs/ab is gone")).error_message(), "ab is gone");
  // What a lead sent is named as the lead named it.
  EXPECT_EQ(ToGrpc(InvalidArgumentError("/home/lena/c.yaml:3: no")).error_message(),
            "/home/lena/c.yaml:3: no");
  EXPECT_TRUE(ToGrpc(OkStatus()).ok());
}

}  // namespace
}  // namespace tributary::server

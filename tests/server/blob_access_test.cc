#include "server/blob_access.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/server/engine_harness.h"

namespace tributary::server {
namespace {

// The digest of an update is shown to every member; what it holds is the server's alone.
TEST(BlobAccessTest, NoCampaignBeginsWithTheUpdateOfASite) {
  EngineHarness engine;
  engine.Start({"a", "b"});
  engine.Update("c.r1.a.t1");
  const auto check = [&](const std::string& blob) {
    return CheckMayBeginWith(engine.state, DigestOf(blob));
  };
  EXPECT_EQ(check("c.r1.a.t1").code(), StatusCode::kPermissionDenied);
  EXPECT_EQ(check("v0"), OkStatus()) << "another campaign's version";
  EXPECT_EQ(check("uploaded"), OkStatus());
  engine.Update("c.r1.b.t1");
  engine.Publish(1);
  EXPECT_EQ(check("c.r1.a.t1").code(), StatusCode::kPermissionDenied) << "for ever";
  engine.Update("c.r2.a.t1");
  engine.Update("c.r2.b.t1");
  engine.Do(VersionPublished{"c", 2, DigestOf("c.r1.a.t1"), 10});
  EXPECT_EQ(check("c.r1.a.t1"), OkStatus()) << "all may read it as a version";
}

}  // namespace
}  // namespace tributary::server

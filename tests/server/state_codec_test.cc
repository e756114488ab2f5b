#include "server/state_codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/server/engine_harness.h"

namespace tributary::server {
namespace {

using testing::HasSubstr;

TEST(StateCodecTest, EveryValueComesBack) {
  EngineHarness engine;
  engine.Start({"a", "b"}, "pacing: {rounds: 2, deadline: 60s}\n");
  engine.Fail("c.r1.a.t1", "a \"reason\"\n");
  engine.Update("c.r1.a.t2");
  engine.Update("c.r1.b.t1");
  VersionPublished published{"c", 1, DigestOf("v1"), 11};
  published.state = {{"momentum", {DigestOf("m"), 5}}};
  published.numbers = {{"step", 1.0 / 3}};
  published.merged = {DigestOf("merged"), 6};
  engine.Do(published);
  engine.Evaluation("c.r1.a.e1", 0.1);
  engine.Do(VersionDamaged{"c", 0, "gone"});
  engine.Do(CampaignPaused{"c", "lena"});
  const auto decoded = DecodeState(EncodeState(engine.state));
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(Text(*decoded), Text(engine.state));
  const Version& version = decoded->campaigns.at("c").versions[1];
  EXPECT_EQ(version.state, published.state);
  EXPECT_EQ(version.numbers, published.numbers);
  EXPECT_EQ(version.merged, published.merged);
  EXPECT_EQ(EncodeState(*decoded), EncodeState(engine.state));
}

// Of before rounds knew their entries; what sites signed was in it.
TEST(StateCodecTest, ASnapshotOfTheFirstFormatIsRead) {
  EngineHarness engine;
  engine.Start({"a", "b"});
  engine.Update("c.r1.a.t1");
  std::string text = EncodeState(engine.state);
  const auto replace = [&](const std::string& what, const std::string& with) {
    ASSERT_NE(text.find(what), std::string::npos) << what;
    for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += with.size()) {
      text.replace(at, what.size(), with);
    }
  };
  replace("\"format\":3", "\"format\":1");
  replace("\"facts\":{", "\"facts\":{\"signature\":\"ab\",\"statement\":\"00ff\",");
  const auto decoded = DecodeState(text);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(Text(*decoded), Text(engine.state));
  EXPECT_EQ(decoded->campaigns.at("c").rounds[0].waiting, 1);
  EXPECT_EQ(decoded->campaigns.at("c").outstanding.at("b").size(), 1U);
}

TEST(StateCodecTest, WhatIsNoStateIsSaid) {
  EXPECT_EQ(DecodeState("").status().code(), StatusCode::kDataLoss);
  EXPECT_EQ(DecodeState("[]").status().code(), StatusCode::kDataLoss);
  EXPECT_EQ(DecodeState("{}").status().code(), StatusCode::kDataLoss);
  const auto later = DecodeState(R"({"format": 4, "sites": {}, "campaigns": {}})");
  EXPECT_EQ(later.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(later.status().message(),
              HasSubstr("is of format 4; this program knows those up to 3"));
  EXPECT_EQ(DecodeState(R"({"format": 1, "sites": [], "campaigns": {}})").status().code(),
            StatusCode::kDataLoss);
  EXPECT_EQ(DecodeState(R"({"format": 1, "sites": {}, "campaigns": {"c": {}}})").status().code(),
            StatusCode::kDataLoss);
  EXPECT_TRUE(DecodeState(R"({"format": 1, "sites": {}, "campaigns": {}})").ok());
}

}  // namespace
}  // namespace tributary::server

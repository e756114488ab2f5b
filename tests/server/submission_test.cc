#include "server/submission.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/core/test_files.h"
#include "tests/server/engine_harness.h"

namespace tributary::server {
namespace {

using testing::HasSubstr;

TEST(CheckCampaignTextTest, AcceptsAGoodFile) {
  const auto file = CheckCampaignText(CampaignYaml({"a", "b"}), "c.yaml");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->pacing.rounds, 2);
}

TEST(CheckCampaignTextTest, ReportsEveryProblemOfTheFile) {
  const Status status =
      CheckCampaignText(CampaignYaml({"a"}, "seed: -1\nqourum: 2\n"), "c.yaml").status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("c.yaml:5: seed"));
  EXPECT_THAT(status.message(), HasSubstr("c.yaml:6: qourum"));
  EXPECT_THAT(CheckCampaignText(CampaignYaml({"a", "a"}), "c.yaml").status().message(),
              HasSubstr("c.yaml:4: sites: \"a\" appears twice"));
}

TEST(CheckCampaignTextTest, RefusesStrategiesThatDoNotExist) {
  const auto check = [](const std::string& more) {
    return CheckCampaignText(CampaignYaml({"a"}, more), "c.yaml").status();
  };
  EXPECT_EQ(check("aggregator: {kind: fedvag}\n"),
            InvalidArgumentError("c.yaml: aggregator.kind: \"fedvag\" is not known; did you mean "
                                 "fedavg?; known: fedavg"));
  EXPECT_EQ(
      check("pacing: {kind: sometimes}\n"),
      InvalidArgumentError("c.yaml: pacing.kind: \"sometimes\" is not known; known: synchronous"));
}

class CheckInitialAdapterTest : public testing::Test {
 protected:
  Status Check(const std::vector<NamedFloats>& tensors) { return Check(ToHostTensors(tensors)); }
  Status Check(const std::vector<HostTensor>& tensors) {
    const auto written = WriteSafetensors(directory_ / "file", tensors);
    EXPECT_TRUE(blobs_.Adopt(directory_ / "file", written->digest).ok());
    return CheckInitialAdapter(blobs_, written->digest);
  }

  const TestDirectory directory_;
  BlobStore blobs_ = std::move(BlobStore::Open(directory_.path())).value();
};

TEST_F(CheckInitialAdapterTest, AcceptsFiniteFloats) {
  EXPECT_TRUE(Check({NamedFloats{"a", {1, 2}}}).ok());
}

TEST_F(CheckInitialAdapterTest, RefusesWhatCannotBeTrained) {
  EXPECT_EQ(CheckInitialAdapter(blobs_, DigestOf("absent")).code(),
            StatusCode::kFailedPrecondition);
  EXPECT_THAT(Check(std::vector<NamedFloats>()).message(), HasSubstr("no tensors"));
  EXPECT_THAT(Check({NamedFloats{"a", {1, std::nanf("")}}}).message(),
              HasSubstr("tensor a holds a value that is not finite"));
  EXPECT_THAT(Check({HostTensor{{"a", DType::kBf16, {1}}, std::vector<std::byte>(2)}}).message(),
              HasSubstr("BF16; must be F32"));
}

TEST_F(CheckInitialAdapterTest, RefusesAFileThatIsNoSafetensors) {
  ASSERT_TRUE(WriteFileAtomic(directory_ / "file", "hello").ok());
  ASSERT_TRUE(blobs_.Adopt(directory_ / "file", Sha256Of("hello")).ok());
  EXPECT_THAT(CheckInitialAdapter(blobs_, Sha256Of("hello")).message(), HasSubstr("malformed"));
}

}  // namespace
}  // namespace tributary::server

#include "client/egress_guard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/random.h"
#include "tests/core/test_files.h"

namespace tributary::client {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class EgressGuardTest : public testing::Test {
 protected:
  void SetUp() override { WriteFloats(directory_ / "global", {{"a", {1, 2}}, {"b", {3}}}); }
  Result<SafetensorsWriter::Written> Write(const std::vector<NamedFloats>& trained,
                                           std::uint64_t limit = 1 << 20) {
    WriteFloats(directory_ / "trained", trained);
    return Guard(manifest_, limit);
  }
  Result<SafetensorsWriter::Written> Guard(const Manifest& manifest,
                                           std::uint64_t limit = 1 << 20) const {
    return WriteUpdateFile(files_, {manifest, {}, 0, ByteSize{limit}});
  }
  void ExpectRefusal(const Status& status, const std::string& message) {
    EXPECT_THAT(status.message(), HasSubstr(message));
    EXPECT_FALSE(PathExists(directory_ / "delta"));
  }

  const TestDirectory directory_;
  const UpdateFiles files_ = {directory_ / "trained", directory_ / "global", directory_ / "control",
                              directory_ / "delta"};
  const Manifest manifest_ = {{"a", DType::kF32, {2}}, {"b", DType::kF32, {1}}};
};

TEST_F(EgressGuardTest, TheDeltaIsTrainedMinusGlobal) {
  const auto written = Write({{"a", {1.5F, -2}}, {"b", {3}}});
  ASSERT_TRUE(written.ok()) << written.status();
  EXPECT_EQ(written->digest, *Sha256OfFile(directory_ / "delta"));
  EXPECT_THAT(ReadFloats(directory_ / "delta", "a"), ElementsAre(0.5F, -4));
  EXPECT_THAT(ReadFloats(directory_ / "delta", "b"), ElementsAre(0));
}

TEST_F(EgressGuardTest, NothingButTensorsLeaves) {
  ASSERT_TRUE(WriteSafetensors(directory_ / "trained", ToHostTensors({{"a", {1, 2}}, {"b", {3}}}),
                               {{"comment", "patient 4711"}})
                  .ok());
  ASSERT_TRUE(Guard(manifest_).ok());
  EXPECT_TRUE(SafetensorsFile::Open(directory_ / "delta")->header().metadata.empty());
}

TEST_F(EgressGuardTest, LargeTensorsAreExactToTheLastElement) {
  const std::size_t size = 3 * (std::size_t{64} << 10) + 7;
  SplitMix64 random(1);
  std::vector<float> global(size), trained(size), delta(size);
  for (std::size_t i = 0; i < size; ++i) {
    global[i] = static_cast<float>(random.Unit());
    trained[i] = static_cast<float>(random.Unit());
    delta[i] = trained[i] - global[i];
  }
  WriteFloats(directory_ / "global", {{"w", global}});
  WriteFloats(directory_ / "trained", {{"w", trained}});
  const Manifest manifest = {{"w", DType::kF32, {static_cast<std::int64_t>(size)}}};
  ASSERT_TRUE(Guard(manifest, 1 << 30).ok());
  EXPECT_EQ(ReadFloats(directory_ / "delta", "w"), delta);
}

TEST_F(EgressGuardTest, RefusesTensorsThatTheCampaignDoesNotDeclare) {
  ExpectRefusal(Write({{"a", {1, 2}}, {"b", {3}}, {"memory", {9}}}).status(),
                "trained adapter: tensor memory is not part of the adapter");
  ExpectRefusal(Write({{"a", {1, 2}}}).status(), "trained adapter: tensor b is missing");
  ExpectRefusal(Write({{"a", {1, 2}, {1, 2}}, {"b", {3}}}).status(),
                "tensor a has shape [1, 2]; must be [2]");
}

TEST_F(EgressGuardTest, RefusesAControlVariateOfAnotherShape) {
  WriteFloats(directory_ / "control", {{"a", {1}}, {"b", {1}}});
  WriteFloats(directory_ / "trained", {{"a", {1, 2}}, {"b", {3}}});
  TrainDirective directive;
  directive.offset = GradientOffset::kControlVariate;
  ExpectRefusal(WriteUpdateFile(files_, {manifest_, directive, 1, ByteSize{1 << 20}}).status(),
                "server state: tensor a has shape [1]; must be [2]");
}

TEST_F(EgressGuardTest, RefusesOtherTypes) {
  HostTensor half{{"b", DType::kBf16, {1}}, std::vector<std::byte>(2)};
  std::vector<HostTensor> tensors = ToHostTensors({{"a", {1, 2}}});
  tensors.push_back(half);
  ASSERT_TRUE(WriteSafetensors(directory_ / "trained", tensors).ok());
  ExpectRefusal(Guard(manifest_).status(), "tensor b has dtype BF16; must be F32");
  WriteFloats(directory_ / "trained", {{"a", {1, 2}}, {"b", {3}}});
  ExpectRefusal(Guard({{"a", DType::kBf16, {2}}, {"b", DType::kF32, {1}}}).status(),
                "tensor a has dtype F32; must be BF16");
}

TEST_F(EgressGuardTest, RefusesWhatIsNotFinite) {
  const float infinity = std::numeric_limits<float>::infinity();
  const float huge = std::numeric_limits<float>::max();
  for (const float bad : {std::nanf(""), infinity, -infinity}) {
    ExpectRefusal(Write({{"a", {1, bad}}, {"b", {3}}}).status(),
                  "tensor a holds a value that is not finite");
  }
  WriteFloats(directory_ / "global", {{"a", {1, 2}}, {"b", {-huge}}});
  ExpectRefusal(Write({{"a", {1, 2}}, {"b", {huge}}}).status(),  // the difference overflows
                "tensor b holds a value that is not finite");
}

TEST_F(EgressGuardTest, RefusesAnUpdateOverTheLimit) {
  const std::uint64_t size = 3 * sizeof(float);
  const Status status = Write({{"a", {1, 2}}, {"b", {3}}}, size - 1).status();
  EXPECT_EQ(status.code(), StatusCode::kPermissionDenied);
  ExpectRefusal(status, "is over policy.max_update of " + std::to_string(size - 1) + "B");
  EXPECT_TRUE(Write({{"a", {1, 2}}, {"b", {3}}}, size).ok());
}

TEST_F(EgressGuardTest, RefusesAGlobalAdapterThatWasTamperedWith) {
  WriteFloats(directory_ / "global", {{"a", {1, 2}}});
  ExpectRefusal(Write({{"a", {1, 2}}, {"b", {3}}}).status(), "global adapter: tensor b is missing");
}

TEST_F(EgressGuardTest, RefusesAMissingOrDamagedFile) {
  ASSERT_TRUE(WriteFileAtomic(directory_ / "trained", "{}").ok());
  ExpectRefusal(Guard(manifest_).status(), "malformed safetensors");
  ASSERT_TRUE(RemoveFile(directory_ / "trained").ok());
  EXPECT_EQ(Guard(manifest_).status().code(), StatusCode::kNotFound);
}

TEST_F(EgressGuardTest, FrozenAndLocalFactorsStay) {
  const std::vector<NamedFloats> start = {{"m.lora_A.weight", {1, 2}, {1, 2}},
                                          {"m.lora_B.weight", {0}, {1, 1}}};
  const std::vector<NamedFloats> trained = {{"m.lora_A.weight", {2, 2}, {1, 2}},
                                            {"m.lora_B.weight", {7}, {1, 1}}};
  WriteFloats(directory_ / "global", start);
  WriteFloats(directory_ / "trained", trained);
  UpdateRules rules{
      SafetensorsFile::Open(directory_ / "global")->ToManifest(), {}, 0, ByteSize{1000}};
  rules.directive.frozen = FrozenFactor::kA;
  ASSERT_TRUE(WriteUpdateFile(files_, rules).ok());
  EXPECT_EQ(SafetensorsFile::Open(directory_ / "delta")->ToManifest().size(), 1u);
  EXPECT_THAT(ReadFloats(directory_ / "delta", "m.lora_B.weight"), ElementsAre(7));
  rules.directive = {};
  rules.directive.keep_b_local = true;
  ASSERT_TRUE(WriteUpdateFile(files_, rules).ok());
  EXPECT_EQ(SafetensorsFile::Open(directory_ / "delta")->ToManifest().size(), 1u);
  EXPECT_THAT(ReadFloats(directory_ / "delta", "m.lora_A.weight"), ElementsAre(1, 0));
}

TEST_F(EgressGuardTest, AnUpdateMayTravelRounded) {
  WriteFloats(directory_ / "trained", {{"a", {1.5F, -2}}, {"b", {3.0001F}}});
  UpdateRules rules{manifest_, {}, 0, ByteSize{6}};  // three halves
  rules.directive.dtype = UpdateDtype::kBf16;
  ASSERT_TRUE(WriteUpdateFile(files_, rules).ok());
  const auto bf16 = SafetensorsFile::Open(directory_ / "delta");
  EXPECT_EQ(bf16->ToManifest(), (Manifest{{"a", DType::kBf16, {2}}, {"b", DType::kBf16, {1}}}));
  const auto* halves = reinterpret_cast<const std::uint16_t*>(bf16->Bytes(*bf16->Find("a")).data());
  EXPECT_EQ(halves[0], 0x3f00);  // 0.5
  EXPECT_EQ(halves[1], 0xc080);  // -4

  rules.directive.dtype = UpdateDtype::kI8;
  EXPECT_EQ(WriteUpdateFile(files_, rules).status().code(), StatusCode::kPermissionDenied);
  rules.max_update = ByteSize{100};
  ASSERT_TRUE(WriteUpdateFile(files_, rules).ok());
  const auto int8 = SafetensorsFile::Open(directory_ / "delta");
  EXPECT_THAT(ReadFloats(directory_ / "delta", "a.scale"), ElementsAre(4.0F / 127));
  const auto* bytes = reinterpret_cast<const std::int8_t*>(int8->Bytes(*int8->Find("a")).data());
  EXPECT_EQ(bytes[0], 16);  // 0.5 / 4 * 127, rounded
  EXPECT_EQ(bytes[1], -127);
}

TEST_F(EgressGuardTest, ControlVariateChangesTravelBesideTheUpdate) {
  WriteFloats(directory_ / "trained", {{"a", {1.5F, -2}}, {"b", {3}}});
  WriteFloats(directory_ / "control", {{"a", {0.25F, 0}}, {"b", {1}}});
  UpdateRules rules{manifest_, {}, 0, ByteSize{1000}};
  rules.directive.offset = GradientOffset::kControlVariate;
  EXPECT_EQ(WriteUpdateFile(files_, rules).status().code(), StatusCode::kInvalidArgument);
  rules.learning_rate_sum = 0.5;
  ASSERT_TRUE(WriteUpdateFile(files_, rules).ok());
  EXPECT_THAT(ReadFloats(directory_ / "delta", "a"), ElementsAre(0.5F, -4));
  EXPECT_THAT(ReadFloats(directory_ / "delta", "second.a"),
              ElementsAre(-1.25F, 8));  // -c - D / 0.5
  EXPECT_THAT(ReadFloats(directory_ / "delta", "second.b"), ElementsAre(-1));
}

TEST(FilterMetricsTest, OnlyFiniteListedMetricsLeave) {
  PolicySection policy;
  policy.metrics = {"loss/*", "tokens"};
  const std::map<std::string, double> metrics = {{"loss/heldout", 1.5},
                                                 {"loss/nan", std::nan("")},
                                                 {"loss/inf", HUGE_VAL},
                                                 {"tokens", 7},
                                                 {"patients", 12}};
  EXPECT_THAT(FilterMetrics(metrics, policy),
              ElementsAre(std::pair("loss/heldout", 1.5), std::pair("tokens", 7.0)));
  policy.metrics.clear();
  EXPECT_TRUE(FilterMetrics(metrics, policy).empty());
}

}  // namespace
}  // namespace tributary::client

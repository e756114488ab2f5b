#include "aggregators/blockwise.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/random.h"
#include "tests/core/test_files.h"

namespace tributary::aggregators {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::size_t kBlock = std::size_t{64} << 10;  // of the engine

std::vector<float> RandomFloats(std::size_t count, std::uint64_t seed) {
  SplitMix64 random(seed);
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(random.Unit() * 2 - 1);
  return values;
}

class BlockwiseTest : public testing::Test {
 protected:
  SpooledUpdate Spool(const std::string& site, std::int64_t samples,
                      const std::vector<NamedFloats>& tensors) {
    WriteFloats(directory_ / site, tensors);
    return {{.site = site, .samples = samples}, directory_ / site};
  }
  Result<SafetensorsWriter::Written> Fold(std::vector<SpooledUpdate> updates,
                                          const std::string& name = "next") {
    const auto aggregator = MakeAggregator({});
    return FoldUpdates(**aggregator, directory_ / "global", std::move(updates), directory_ / name);
  }

  const TestDirectory directory_;
};

TEST_F(BlockwiseTest, FoldsEveryTensorOfEverySize) {
  std::vector<NamedFloats> global, one, two;
  const std::vector<std::size_t> sizes = {0, 1, 3, kBlock - 1, kBlock, kBlock + 1, 3 * kBlock + 17};
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const std::string name = "t" + std::to_string(i);
    global.push_back({name, RandomFloats(sizes[i], 3 * i)});
    one.push_back({name, RandomFloats(sizes[i], 3 * i + 1)});
    two.push_back({name, RandomFloats(sizes[i], 3 * i + 2)});
  }
  WriteFloats(directory_ / "global", global);
  const auto written = Fold({Spool("a", 1, one), Spool("b", 3, two)});
  ASSERT_TRUE(written.ok()) << written.status();
  EXPECT_EQ(written->digest, *Sha256OfFile(directory_ / "next"));
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    std::vector<float> expected = global[i].values;
    for (std::size_t j = 0; j < sizes[i]; ++j) {
      expected[j] += 0.25F * one[i].values[j] + 0.75F * two[i].values[j];
    }
    const auto actual = ReadFloats(directory_ / "next", global[i].name);
    ASSERT_EQ(actual.size(), expected.size());
    for (std::size_t j = 0; j < sizes[i]; ++j) {
      ASSERT_NEAR(actual[j], expected[j], 1e-6) << i << " " << j;
    }
  }
}

TEST_F(BlockwiseTest, OrderOfArrivalDoesNotChangeABit) {  // U3
  WriteFloats(directory_ / "global", {{"t", RandomFloats(kBlock + 5, 1)}});
  std::vector<SpooledUpdate> updates;
  for (const char* site : {"a", "b", "c"}) {
    updates.push_back(Spool(site, site[0], {{"t", RandomFloats(kBlock + 5, HashName(site))}}));
  }
  const auto first = Fold({updates[0], updates[1], updates[2]}, "first");
  const auto second = Fold({updates[2], updates[0], updates[1]}, "second");
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(first->digest, second->digest);
}

TEST_F(BlockwiseTest, ShapesAndNamesAreThoseOfTheGlobalAdapter) {
  WriteFloats(directory_ / "global", {{"b", {1, 2}, {2, 1}}, {"a", {3}, {}}});
  ASSERT_TRUE(Fold({Spool("s", 1, {{"a", {1}, {}}, {"b", {1, 1}, {2, 1}}})}).ok());
  const auto next = SafetensorsFile::Open(directory_ / "next");
  EXPECT_THAT(next->ToManifest(),
              ElementsAre(TensorSpec{"a", DType::kF32, {1}}, TensorSpec{"b", DType::kF32, {2, 1}}));
  EXPECT_THAT(ReadFloats(directory_ / "next", "b"), ElementsAre(2, 3));
}

TEST_F(BlockwiseTest, AnUpdateOfAnotherManifestNamesItsSite) {  // U7
  WriteFloats(directory_ / "global", {{"t", {1, 2}}});
  const SpooledUpdate good = Spool("good", 1, {{"t", {1, 1}}});
  for (const auto& [tensors, message] :
       std::vector<std::pair<std::vector<NamedFloats>, std::string>>{
           {{{"t", {1}}}, "tensor t has shape [1]; must be [2]"},
           {{{"u", {1, 1}}}, "tensor u is not part of the adapter; tensor t is missing"},
           {{{"t", {1, 1}}, {"u", {1}}}, "tensor u is not part of the adapter"}}) {
    const Status status = Fold({good, Spool("bad", 1, tensors)}).status();
    EXPECT_EQ(status.message(), "update of site bad: " + message);
  }
  EXPECT_FALSE(PathExists(directory_ / "next"));
}

TEST_F(BlockwiseTest, AnUpdateThatIsGoneOrDamagedNamesItsSite) {
  WriteFloats(directory_ / "global", {{"t", {1}}});
  EXPECT_THAT(Fold({{{.site = "a", .samples = 1}, directory_ / "absent"}}).status().message(),
              HasSubstr("update of site a: "));
  ASSERT_TRUE(WriteFileAtomic(directory_ / "broken", "short").ok());
  EXPECT_THAT(Fold({{{.site = "a", .samples = 1}, directory_ / "broken"}}).status().message(),
              HasSubstr("update of site a: " + directory_ / "broken: malformed"));
}

TEST_F(BlockwiseTest, RefusesAGlobalAdapterOfAnotherType) {
  HostTensor tensor{{"t", DType::kBf16, {1}}, std::vector<std::byte>(2)};
  ASSERT_TRUE(WriteSafetensors(directory_ / "global", {tensor}).ok());
  EXPECT_THAT(Fold({}).status().message(), HasSubstr("has dtype BF16; must be F32"));
}

TEST_F(BlockwiseTest, NothingIsWrittenWhenTheWeightsMeanNothing) {
  WriteFloats(directory_ / "global", {{"t", {1}}});
  EXPECT_FALSE(Fold({Spool("a", 0, {{"t", {1}}})}).ok());
  EXPECT_FALSE(Fold({}).ok());
  EXPECT_FALSE(PathExists(directory_ / "next"));
}

TEST_F(BlockwiseTest, ScanMeasuresTheNorm) {
  WriteFloats(directory_ / "u", {{"a", {3}}, {"b", {0, -4}}});
  const auto scan = ScanUpdate(*SafetensorsFile::Open(directory_ / "u"));
  ASSERT_TRUE(scan.ok());
  EXPECT_TRUE(scan->finite);
  EXPECT_EQ(scan->norm, 5);
}

TEST_F(BlockwiseTest, ScanDoesNotTakeLargeForInfinite) {
  const float huge = std::numeric_limits<float>::max();
  WriteFloats(directory_ / "u", {{"a", {huge, -huge, huge}}});
  const auto scan = ScanUpdate(*SafetensorsFile::Open(directory_ / "u"));
  EXPECT_TRUE(scan->finite);
  EXPECT_TRUE(std::isfinite(scan->norm));
}

TEST_F(BlockwiseTest, ScanFindsEveryValueThatIsNotFinite) {  // U8
  const float infinity = std::numeric_limits<float>::infinity();
  for (const float bad : {std::nanf(""), infinity, -infinity}) {
    for (const std::size_t at : {std::size_t{0}, kBlock - 1, kBlock, 2 * kBlock}) {
      std::vector<float> values(2 * kBlock + 1, 1.0F);
      values[at] = bad;
      WriteFloats(directory_ / "u", {{"a", {1}}, {"b", values}, {"c", {bad}}});
      const auto scan = ScanUpdate(*SafetensorsFile::Open(directory_ / "u"));
      ASSERT_TRUE(scan.ok());
      EXPECT_FALSE(scan->finite);
      EXPECT_EQ(scan->first_bad_tensor, "b");
    }
  }
}

TEST_F(BlockwiseTest, ScanRefusesOtherTypes) {
  HostTensor tensor{{"t", DType::kI32, {1}}, std::vector<std::byte>(4)};
  ASSERT_TRUE(WriteSafetensors(directory_ / "u", {tensor}).ok());
  EXPECT_THAT(ScanUpdate(*SafetensorsFile::Open(directory_ / "u")).status().message(),
              HasSubstr("tensor t has dtype I32; must be F32"));
}

}  // namespace
}  // namespace tributary::aggregators

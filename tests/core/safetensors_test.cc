#include "core/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/test_files.h"

namespace tributary {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Result<SafetensorsHeader> Parse(std::string_view bytes) {
  return ParseSafetensorsHeader(std::as_bytes(std::span(bytes)), bytes.size());
}

constexpr std::string_view kTwo = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                                  R"("b":{"dtype":"U8","shape":[2,2],"data_offsets":[8,12]}})";

TEST(SafetensorsTest, ParsesAWholeHeader) {
  const auto header = Parse(RawSafetensors(
      R"({"b":{"dtype":"BF16","shape":[],"data_offsets":[8,10]},"__metadata__":{"format":"pt"},)"
      R"("a":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}})",
      10));
  ASSERT_TRUE(header.ok()) << header.status();
  EXPECT_THAT(header->metadata, ElementsAre(std::pair("format", "pt")));
  EXPECT_THAT(header->ToManifest(),
              ElementsAre(TensorSpec{"a", DType::kI64, {1}}, TensorSpec{"b", DType::kBf16, {}}));
  EXPECT_EQ(header->tensors[1].begin, header->tensors[0].begin + 8);
}

TEST(SafetensorsTest, EveryTruncationIsAnError) {
  const std::string whole = RawSafetensors(kTwo, 12);
  ASSERT_TRUE(Parse(whole).ok());
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(Parse(whole.substr(0, size)).ok()) << size;
  }
  // The header alone is enough when the size of the file is known.
  const std::string_view prefix = std::string_view(whole).substr(0, whole.size() - 12);
  EXPECT_TRUE(ParseSafetensorsHeader(std::as_bytes(std::span(prefix)), whole.size()).ok());
  const std::string_view part = prefix.substr(0, prefix.size() - 1);
  EXPECT_THAT(
      ParseSafetensorsHeader(std::as_bytes(std::span(part)), whole.size()).status().message(),
      HasSubstr("truncated"));
}

TEST(SafetensorsTest, EveryFlippedByteIsRefusedOrHarmless) {
  const std::string whole = RawSafetensors(kTwo, 12);
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (const unsigned char flip : {0x01, 0x10, 0x80, 0xFF}) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(static_cast<unsigned char>(damaged[at]) ^ flip);
      const auto header = Parse(damaged);
      if (!header.ok()) continue;
      for (const SafetensorsEntry& entry : header->tensors) {
        EXPECT_LE(entry.begin + entry.spec.ByteCount(), damaged.size());
      }
    }
  }
}

struct Malformation {
  std::string_view header;
  std::size_t data_bytes;
  std::string_view message;
};

TEST(SafetensorsTest, RefusesEveryMalformation) {
  const std::vector<Malformation> table = {
      {"[]", 0, "header is not an object"},
      {"{", 0, "is not valid JSON"},
      {"{}", 1, "tensors end at byte 0 of 1"},
      {"{\"\xFF\":1}", 0, "is not valid JSON"},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":1})", 1, "appears twice"},
      {R"({"a":1})", 0, "must have exactly"},
      {R"({"a":{"dtype":"U8","shape":[1]}})", 1, "must have exactly"},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":1}})", 1, "must have exactly"},
      {R"({"":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1, "bad length"},
      {R"({"a":{"dtype":5,"shape":[1],"data_offsets":[0,1]}})", 1, "not text"},
      {R"({"a":{"dtype":"F8","shape":[1],"data_offsets":[0,1]}})", 1, "\"F8\" is not supported"},
      {R"({"a":{"dtype":"U8","shape":1,"data_offsets":[0,1]}})", 1, "no shape"},
      {R"({"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}})", 1, "whole numbers"},
      {R"({"a":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}})", 1, "whole numbers"},
      {R"({"a":{"dtype":"U8","shape":["1"],"data_offsets":[0,1]}})", 1, "whole numbers"},
      {R"({"a":{"dtype":"U8","shape":[18446744073709551615],"data_offsets":[0,1]}})", 1,
       "whole numbers"},
      {R"({"a":{"dtype":"U8","shape":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],)"
       R"("data_offsets":[0,1]}})",
       1, "at most 16"},
      {R"({"a":{"dtype":"U8","shape":[4294967296,4294967297],"data_offsets":[0,1]}})", 1,
       "too many elements"},
      {R"({"a":{"dtype":"F64","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0,
       "too many elements"},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[-1,0]}})", 1, "data_offsets outside"},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0.0,1]}})", 1, "data_offsets outside"},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}})", 1, "data_offsets outside"},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,2]}})", 1, "data_offsets outside"},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1,1]}})", 1, "data_offsets outside"},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,18446744073709551615]}})", 1,
       "data_offsets outside"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,3]}})", 3, "needs 4 bytes"},
      {R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
       R"("b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
       3, "tensor b overlaps another"},
      {R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
       R"("b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})",
       2, "overlaps another"},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
       R"("b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}})",
       3, "bytes before tensor b belong to none"},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 2, "tensors end at byte 1 of 2"},
      {R"({"__metadata__":[]})", 0, "__metadata__ must be"},
      {R"({"__metadata__":{"a":1}})", 0, "__metadata__.a must be a string"},
  };
  for (const Malformation& row : table) {
    const auto header = Parse(RawSafetensors(row.header, row.data_bytes));
    EXPECT_EQ(header.status().code(), StatusCode::kInvalidArgument) << row.header;
    EXPECT_THAT(header.status().message(), HasSubstr(row.message)) << row.header;
  }
}

TEST(SafetensorsTest, RefusesALengthBeforeItAllocates) {
  for (const std::uint64_t length : {kSafetensorsMaxHeaderBytes + 1, SIZE_MAX, SIZE_MAX - 7}) {
    std::string bytes(16, ' ');
    std::memcpy(bytes.data(), &length, sizeof length);
    EXPECT_THAT(Parse(bytes).status().message(), HasSubstr("over the limit"));
  }
  std::string bytes(16, ' ');
  const std::uint64_t length = 9;
  std::memcpy(bytes.data(), &length, sizeof length);
  EXPECT_THAT(Parse(bytes).status().message(), HasSubstr("truncated"));
}

TEST(SafetensorsTest, EmptyTensorsTakeNoBytes) {
  const auto header = Parse(
      RawSafetensors(R"({"a":{"dtype":"F32","shape":[0,4611686018427387904],"data_offsets":[0,0]},)"
                     R"("b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
                     1));
  ASSERT_TRUE(header.ok()) << header.status();
  EXPECT_EQ(header->tensors[0].spec.ByteCount(), 0u);
}

TEST(SafetensorsFileTest, RoundTripsAndDigestsTheFile) {
  const TestDirectory directory;
  const auto written = WriteSafetensors(
      directory / "a",
      ToHostTensors(
          {{"w.b", {1, -2, 3.5F}, {}}, {"w.a", {0.25F, 4, 5, 6}, {2, 2}}, {"none", {}, {0, 3}}}),
      {{"format", "pt"}});
  ASSERT_TRUE(written.ok()) << written.status();
  EXPECT_EQ(written->digest, *Sha256OfFile(directory / "a"));
  EXPECT_EQ(written->bytes, *FileSize(directory / "a"));
  auto opened = SafetensorsFile::Open(directory / "a");
  ASSERT_TRUE(opened.ok()) << opened.status();
  const SafetensorsFile file = *std::move(opened);
  EXPECT_EQ(file.header().metadata.at("format"), "pt");
  EXPECT_THAT(file.ToManifest(), ElementsAre(TensorSpec{"none", DType::kF32, {0, 3}},
                                             TensorSpec{"w.a", DType::kF32, {2, 2}},
                                             TensorSpec{"w.b", DType::kF32, {3}}));
  EXPECT_THAT(file.Floats(*file.Find("w.a")), ElementsAre(0.25F, 4, 5, 6));
  file.Release(file.Bytes(*file.Find("w.a")));
  EXPECT_THAT(file.Floats(*file.Find("w.b")), ElementsAre(1, -2, 3.5F));
  EXPECT_TRUE(file.Floats(*file.Find("none")).empty());
  EXPECT_EQ(file.Find("w"), nullptr);
  EXPECT_EQ(file.Find("w.c"), nullptr);
}

TEST(SafetensorsFileTest, TheSameTensorsGiveTheSameBytes) {
  const TestDirectory directory;
  EXPECT_EQ(WriteFloats(directory / "1", {{"a", {1}}, {"b", {2}}}),
            WriteFloats(directory / "2", {{"b", {2}}, {"a", {1}}}));
}

TEST(SafetensorsFileTest, RefusesUnalignedDataUnlessToldOtherwise) {
  const TestDirectory directory;
  const std::string header = R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  for (const std::size_t pad : {0, 1, 2, 3, 4, 5, 6, 7}) {
    const std::string text = header + std::string(pad, ' ');
    ASSERT_TRUE(WriteFileAtomic(directory / "a", RawSafetensors(text, 4)).ok());
    EXPECT_EQ(SafetensorsFile::Open(directory / "a").ok(), text.size() % 4 == 0) << pad;
    EXPECT_TRUE(
        SafetensorsFile::Open(directory / "a", OnDamage::kEndProcess, Alignment::kAny).ok());
  }
}

TEST(SafetensorsFileTest, ErrorsNameTheFile) {
  const TestDirectory directory;
  ASSERT_TRUE(WriteFileAtomic(directory / "a", "").ok());
  EXPECT_THAT(SafetensorsFile::Open(directory / "a").status().message(),
              HasSubstr(directory / "a: malformed safetensors: truncated"));
  EXPECT_EQ(SafetensorsFile::Open(directory / "b").status().code(), StatusCode::kNotFound);
}

TEST(SafetensorsWriterTest, TheFileAppearsWholeOrNotAtAll) {
  const TestDirectory directory;
  const Manifest manifest = {{"a", DType::kF32, {2}}, {"b", DType::kF32, {1}}};
  const std::vector<float> values = {1, 2, 3};
  const auto bytes = std::as_bytes(std::span(values));
  {
    auto writer = SafetensorsWriter::Create(directory / "f", manifest);
    ASSERT_TRUE(writer.ok()) << writer.status();
    ASSERT_TRUE(writer->Append(bytes.subspan(0, 5)).ok());
    EXPECT_FALSE(PathExists(directory / "f"));
  }
  EXPECT_THAT(*ListDirectory(directory.path()), ElementsAre());
  auto writer = SafetensorsWriter::Create(directory / "f", manifest, {}, /*durable=*/false);
  ASSERT_TRUE(writer->Append(bytes.subspan(0, 5)).ok());
  ASSERT_TRUE(writer->Append(bytes.subspan(5)).ok());
  ASSERT_TRUE(writer->Finish().ok());
  EXPECT_THAT(ReadFloats(directory / "f", "b"), ElementsAre(3));
  EXPECT_THAT(*ListDirectory(directory.path()), ElementsAre("f"));
}

TEST(SafetensorsWriterTest, TooFewOrTooManyBytesAreAnError) {
  const TestDirectory directory;
  for (const std::size_t size : {3, 5}) {
    auto writer = SafetensorsWriter::Create(directory / "f", {{"a", DType::kF32, {1}}});
    const std::vector<std::byte> bytes(size);
    ASSERT_TRUE(writer->Append(bytes).ok());
    EXPECT_THAT(writer->Finish().status().message(),
                HasSubstr(std::to_string(size) + " bytes written of 4"));
  }
  EXPECT_FALSE(PathExists(directory / "f"));
}

TEST(SafetensorsWriterTest, RefusesANameTwiceAndAMissingDirectory) {
  const TestDirectory directory;
  const TensorSpec a{"a", DType::kF32, {1}};
  EXPECT_THAT(SafetensorsWriter::Create(directory / "f", {a, a}).status().message(),
              HasSubstr("tensor a appears twice"));
  EXPECT_EQ(SafetensorsWriter::Create(directory / "x/f", {a}).status().code(),
            StatusCode::kNotFound);
}

TEST(SafetensorsWriterTest, RefusesBytesThatDoNotFitTheirSpec) {
  const TestDirectory directory;
  HostTensor tensor{{"a", DType::kF32, {2}}, std::vector<std::byte>(4)};
  EXPECT_THAT(WriteSafetensors(directory / "f", {tensor}).status().message(),
              HasSubstr("holds 4 bytes of 8"));
}

}  // namespace
}  // namespace tributary

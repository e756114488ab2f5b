#include "core/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/core/test_files.h"

namespace tributary {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(ParseJsonTest, ReadsWhatIsValid) {
  const auto value = ParseJson(R"({"a": [1, -2.5, "\u00e9", true, null], "b": {}})", "x");
  ASSERT_TRUE(value.ok()) << value.status();
  EXPECT_EQ((*value)["a"][2], "\xC3\xA9");
}

TEST(ParseJsonTest, RefusesMalformedText) {
  for (const std::string_view text :
       {"",    " ",       "{",         "[1,]",  "{\"a\":1,}", "{a:1}",    "01",          "+1",
        "nan", "NaN",     "Infinity",  "1e999", "\"\x01\"",   "\"\xFF\"", "\"\\ud800\"", "[1] 2",
        "'a'", "// c\n1", "{\"a\" 1}", "\"open"}) {
    const auto value = ParseJson(text, "peer's file");
    EXPECT_EQ(value.status().code(), StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(value.status().message(), HasSubstr("peer's file: ")) << text;
  }
}

TEST(ParseJsonTest, SaysWhere) {
  EXPECT_THAT(ParseJson("[1, x]", "f").status().message(),
              HasSubstr("f: is not valid JSON at byte 5"));
}

TEST(ParseJsonTest, RefusesDuplicateKeysOfOneObjectOnly) {
  EXPECT_EQ(ParseJson(R"({"a": {"b": 1, "b": 2}})", "f").status().message(),
            "f: key \"b\" appears twice");
  EXPECT_FALSE(ParseJson(R"({"a": 1, "\u0061": 2})", "f").ok());
  EXPECT_TRUE(ParseJson(R"({"a": {"a": 1}, "b": {"a": 2}})", "f").ok());
}

TEST(ParseJsonTest, BoundsTheNesting) {
  const auto nested = [](int depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_TRUE(ParseJson(nested(64), "f").ok());
  EXPECT_EQ(ParseJson(nested(65), "f").status().message(), "f: is nested deeper than 64");
  EXPECT_FALSE(ParseJson(std::string(1000000, '['), "f").ok());
  EXPECT_FALSE(ParseJson(std::string(1000000, '{'), "f").ok());
}

TEST(ParseJsonTest, ReadsFilesAndNamesThem) {
  const TestDirectory directory;
  ASSERT_TRUE(WriteFileAtomic(directory / "a.json", "{").ok());
  EXPECT_THAT(ReadJsonFile(directory / "a.json").status().message(),
              HasSubstr(directory / "a.json: "));
  EXPECT_EQ(ReadJsonFile(directory / "b.json").status().code(), StatusCode::kNotFound);
}

class JsonObjectReaderTest : public testing::Test {
 protected:
  json object_ = json::parse(R"({
    "text": "t", "int": 7, "big": 18446744073709551615, "number": 2.5, "flag": true,
    "list": ["a", "b"], "mixed": ["a", 1], "object": {"x": 1}, "null": null})");
  std::vector<std::string> problems_;
  JsonObjectReader reader_{object_, "file", &problems_};
};

TEST_F(JsonObjectReaderTest, ReadsEveryType) {
  EXPECT_EQ(reader_.String("text"), "t");
  EXPECT_EQ(reader_.Int("int", 0, 7), 7);
  EXPECT_EQ(reader_.Number("number"), 2.5);
  EXPECT_EQ(reader_.Number("int"), 7.0);
  EXPECT_TRUE(reader_.Bool("flag"));
  EXPECT_THAT(reader_.Strings("list"), ElementsAre("a", "b"));
  EXPECT_EQ(reader_.Object("object").Int("x", 0, 1), 1);
  EXPECT_TRUE(reader_.Raw("null").is_null());
  EXPECT_TRUE(reader_.Has("null"));
  EXPECT_FALSE(reader_.Has("absent"));
  EXPECT_THAT(problems_, IsEmpty());
}

TEST_F(JsonObjectReaderTest, AbsentOptionalMembersHaveTheirFallback) {
  EXPECT_EQ(reader_.String("s", "d"), "d");
  EXPECT_EQ(reader_.Int("i", 0, 1, 5), 5);
  EXPECT_EQ(reader_.Number("n", 0.5), 0.5);
  EXPECT_TRUE(reader_.Bool("b", true));
  EXPECT_THAT(reader_.Strings("l", {"z"}), ElementsAre("z"));
  EXPECT_THAT(problems_, IsEmpty());
}

TEST_F(JsonObjectReaderTest, CollectsEveryProblem) {
  (void)reader_.String("absent");
  (void)reader_.String("int");
  (void)reader_.Int("number", 0, 10);
  (void)reader_.Int("int", 8, 10);
  (void)reader_.Int("big", INT64_MIN, INT64_MAX);
  (void)reader_.Number("text");
  (void)reader_.Bool("int");
  (void)reader_.Strings("text");
  (void)reader_.Strings("mixed");
  (void)reader_.Object("gone").Int("x", 0, 1);
  (void)reader_.Object("text");
  EXPECT_THAT(problems_,
              ElementsAre("file.absent: is missing", "file.int: is a number; must be a string",
                          "file.number: is a number; must be a whole number",
                          "file.int: 7 is out of range; must be 8..10",
                          "file.big: 18446744073709551615 is out of range; must be "
                          "-9223372036854775808..9223372036854775807",
                          "file.text: is a string; must be a finite number",
                          "file.int: is a number; must be true or false",
                          "file.text: must be a list of strings",
                          "file.mixed: must be a list of strings", "file.gone: is missing",
                          "file.gone.x: is missing", "file.text: must be an object"));
}

TEST_F(JsonObjectReaderTest, RejectsMembersNobodyAskedFor) {
  (void)reader_.String("text");
  reader_.RejectUnknown();
  EXPECT_EQ(problems_.size(), object_.size() - 1);
  EXPECT_THAT(problems_, testing::Contains("file.flag: is not a known key"));
}

TEST(ProblemsToStatusTest, JoinsThem) {
  EXPECT_TRUE(ProblemsToStatus({}).ok());
  EXPECT_EQ(ProblemsToStatus({"a", "b"}), InvalidArgumentError("a; b"));
}

}  // namespace
}  // namespace tributary

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "aggregators/options.h"
#include "tests/aggregators/round_harness.h"

namespace tributary::aggregators {
namespace {

using testing::ElementsAre;
using testing::FloatNear;
using testing::HasSubstr;
using testing::Pointwise;

constexpr std::string_view kWords[] = {"red", "green"};
constexpr OptionSpec kSpecs[] = {
    {.name = "rate", .meaning = "a number", .fallback = 0.5, .least = 0, .most = 1},
    {.name = "count",
     .meaning = "a whole number",
     .fallback = 3,
     .least = 1,
     .most = 9,
     .whole = true},
    {.name = "colour", .meaning = "a word", .fallback = 1, .words = kWords},
    {.name = "site", .meaning = "any text", .text = true},
};

TEST(OptionsTest, FillsInDefaults) {
  const auto options = Options::Read({}, kSpecs);
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(options->Number("rate"), 0.5);
  EXPECT_EQ(options->Integer("count"), 3);
  EXPECT_EQ(options->Word("colour"), "green");
  EXPECT_EQ(options->Word("site"), "");
}

TEST(OptionsTest, ReadsWhatIsGiven) {
  const auto options = Options::Read(
      {{"rate", "1e-3"}, {"count", "7"}, {"colour", "red"}, {"site", "Alpha 1"}}, kSpecs);
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(options->Number("rate"), 1e-3);
  EXPECT_EQ(options->Integer("count"), 7);
  EXPECT_EQ(options->Word("colour"), "red");
  EXPECT_EQ(options->Word("site"), "Alpha 1");
}

TEST(OptionsTest, SaysWhatIsWrongAndWhatIsAllowed) {
  const auto error = [](const std::string& name, const std::string& value) {
    return Options::Read({{name, value}}, kSpecs).status().message();
  };
  EXPECT_EQ(error("rate", "2"), "options.rate: \"2\" is out of range; must be 0..1");
  EXPECT_EQ(error("rate", "fast"), "options.rate: \"fast\" is not a number; must be 0..1");
  EXPECT_EQ(error("rate", "0.5x"), "options.rate: \"0.5x\" is not a number; must be 0..1");
  EXPECT_EQ(error("rate", "nan"), "options.rate: \"nan\" is not a number; must be 0..1");
  EXPECT_EQ(error("rate", ""), "options.rate: \"\" is not a number; must be 0..1");
  EXPECT_EQ(error("count", "2.5"), "options.count: \"2.5\" is not a whole number; must be 1..9");
  EXPECT_EQ(error("colour", "gren"),
            "options.colour: \"gren\" is not allowed; did you mean green?; must be one of red "
            "green");
  EXPECT_EQ(error("rat", "1"),
            "options: \"rat\" is not known; did you mean rate?; known: rate count colour site");
  EXPECT_EQ(Options::Read({{"x", "1"}}, {}).status().message(),
            "options: \"x\" is not known; there are no options");
  EXPECT_EQ(Options::Read({{"rate", "2"}, {"count", "0"}}, kSpecs).status().message(),
            "options.count: \"0\" is out of range; must be 1..9\n"
            "options.rate: \"2\" is out of range; must be 0..1");
}

TEST(OptionsDeathTest, AnUndeclaredNameIsABug) {
  const auto options = Options::Read({}, kSpecs);
  EXPECT_DEATH(options->Number("speed"), "option speed is not declared");
}

}  // namespace
}  // namespace tributary::aggregators

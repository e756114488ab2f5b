#include "core/text.h"

#include <gtest/gtest.h>

#include <vector>

namespace tributary {
namespace {

TEST(TextTest, AcceptsOnlyWellFormedUtf8) {
  for (const std::string_view good :
       {"", "plain", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80", "\xF4\x8F\xBF\xBF"}) {
    EXPECT_TRUE(IsUtf8(good)) << EscapeControl(good);
  }
  for (const std::string_view bad :
       {"\x80", "\xC0\xAF", "\xC3", "\xE0\x80\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80",
        "\xF8\x88\x80\x80\x80", "\xE2\x82", "a\xFF"}) {
    EXPECT_FALSE(IsUtf8(bad)) << EscapeControl(bad);
  }
}

TEST(TextTest, EscapesWhatCouldForgeALineOrATerminal) {
  EXPECT_EQ(EscapeControl("a\nb\r\t\\ \x1b[31m \x7f"), "a\\nb\\r\\t\\\\ \\x1b[31m \\x7f");
  EXPECT_EQ(EscapeControl("\xC2\x9B\xE2\x80\xA8 \xFF \xC3\xA9"),
            "\\xc2\\x9b\\xe2\\x80\\xa8 \\xff \xC3\xA9");
}

TEST(TextTest, ExcerptsAreCutAtCharacters) {
  EXPECT_EQ(Excerpt("short", 5), "short");
  EXPECT_EQ(Excerpt("longer", 5), "lo...");
  EXPECT_EQ(Excerpt("\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9", 6), "\xC3\xA9...");
  EXPECT_EQ(Excerpt(std::string(1000, '\n'), 80).size(), 80u);
}

TEST(TextTest, FindsTheProbableSpelling) {
  const std::vector<std::string> names = {"fedavg", "fedprox", "median"};
  EXPECT_EQ(NearestName("fedvag", names), "fedavg");
  EXPECT_EQ(NearestName("fedporx", names), "fedprox");
  EXPECT_EQ(NearestName("medan", names), "median");
  EXPECT_EQ(NearestName("scaffold", names), std::nullopt);
  EXPECT_EQ(NearestName("", names), std::nullopt);
  EXPECT_EQ(NearestName(std::string(100000, 'a'), names), std::nullopt);
}

}  // namespace
}  // namespace tributary

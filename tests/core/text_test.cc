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

TEST(TextTest, EscapesMarksThatTurnTheDirectionOfTextOrCannotBeSeen) {
  // Right-to-left override and isolate, mark, zero width space, byte order mark, a tag.
  for (const std::string_view mark : {"\u202e", "\u2067", "\u2069", "\u200f", "\u061c", "\u200b",
                                      "\ufeff", "\u00ad", "\U000e0041"}) {
    const std::string shown = EscapeControl("a" + std::string(mark) + "b");
    EXPECT_EQ(shown.size(), 2 + 4 * mark.size()) << shown;
    EXPECT_EQ(shown.substr(0, 3), "a\\x");
  }
  for (const std::string_view text : {"\u05d0\u0628", "\u200d", "\u00e9\u4e2d", "\U0001f600"}) {
    EXPECT_EQ(EscapeControl(text), text) << "what people write stays";
  }
}

TEST(TextTest, WhatIsPrintableStaysAsItIs) {
  EXPECT_EQ(Printable("a\n\x1b[2J\u202e\\ \xff"), "a\\n\\x1b[2J\\xe2\\x80\\xae\\ \\xff");
  const std::string once = Printable("a\nb\\c\x9b");
  EXPECT_EQ(Printable(once), once);
  EXPECT_EQ(PrintableLines("a:\n  b\x1b\r\n"), "a:\n  b\\x1b\\r\n");
  EXPECT_EQ(Printable(std::string(1 << 20, 'x'), 100), std::string(97, 'x') + "...");
  EXPECT_EQ(PrintableLines(std::string(1 << 21, '\n')).size(), std::size_t{1} << 20);
}

TEST(TextTest, WhatWasEscapedStaysAsItIs) {
  const std::string once = Excerpt("qsub: no\nsuch \x1b queue\\");
  EXPECT_EQ(once, "qsub: no\\nsuch \\x1b queue\\");
  EXPECT_EQ(Excerpt(Excerpt(once)), once);
  EXPECT_EQ(Printable(once), once);
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

TEST(TextTest, WordsAreWhatIsBetweenBlanks) {
  EXPECT_EQ(SplitWords("  a\tb c \r\n"), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_TRUE(SplitWords(" \n").empty());
  EXPECT_EQ(Trimmed(" a b\r\n"), "a b");
  EXPECT_EQ(Trimmed(" \t"), "");
}

}  // namespace
}  // namespace tributary

#include "trainer/pre_tokenizer_steps.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/random.h"
#include "trainer/regex_dialect.h"

namespace tributary::trainer {
namespace {

using testing::ElementsAre;

PreTokenizer Compile(std::string_view pattern) {
  auto compiled = PreTokenizer::Create(pattern);
  EXPECT_TRUE(compiled.ok()) << compiled.status();
  return *std::move(compiled);
}

TEST(PreTokenizerTest, SplitsAsGpt2Does) {
  EXPECT_THAT(*Compile(kGpt2Pattern).Split("It's 42 caf\u00e9s,  now!\n"),
              ElementsAre("It", "'s", " 42", " caf\u00e9s", ",", " ", " now", "!", "\n"));
}

TEST(PreTokenizerTest, PiecesOfAnyBytesJoinToTheText) {
  const PreTokenizer splitter = Compile(kGpt2Pattern);
  SplitMix64 random(1);
  for (int round = 0; round < 200; ++round) {
    std::string text;
    for (int i = 0; i < 40; ++i) text += static_cast<char>(random.Below(256));
    std::string joined;
    const auto pieces = splitter.Split(text);
    ASSERT_TRUE(pieces.ok());
    for (const std::string_view piece : *pieces) joined += piece;
    ASSERT_EQ(joined, text);
  }
}

std::vector<std::string> Cut(std::string_view text, PreTokenizerStep step,
                             TextPlace place = TextPlace::kStart) {
  std::vector<PreTokenizerStep> steps;
  steps.push_back(std::move(step));
  const auto pieces = CutIntoPieces(text, steps, place);
  EXPECT_TRUE(pieces.ok()) << pieces.status();
  std::vector<std::string> out;
  std::size_t begin = 0;
  for (const std::size_t end : pieces->ends) {
    out.push_back(pieces->text.substr(begin, end - begin));
    begin = end;
  }
  return out;
}

PreTokenizerStep Comma(SplitBehavior behavior) {
  PreTokenizerStep step;
  step.pattern = Compile(",");
  step.behavior = behavior;
  return step;
}

TEST(PreTokenizerStepsTest, MatchesGoWhereTheBehaviorSays) {
  const char* text = ",a,,b,";
  EXPECT_THAT(Cut(text, Comma(SplitBehavior::kIsolated)),
              ElementsAre(",", "a", ",", ",", "b", ","));
  EXPECT_THAT(Cut(text, Comma(SplitBehavior::kRemoved)), ElementsAre("a", "b"));
  EXPECT_THAT(Cut(text, Comma(SplitBehavior::kContiguous)), ElementsAre(",", "a", ",,", "b", ","));
  EXPECT_THAT(Cut(text, Comma(SplitBehavior::kMergedWithPrevious)),
              ElementsAre(",", "a,", ",", "b,"));
  EXPECT_THAT(Cut(text, Comma(SplitBehavior::kMergedWithNext)), ElementsAre(",a", ",", ",b", ","));
}

TEST(PreTokenizerStepsTest, InvertTakesWhatLiesBetweenTheMatches) {
  PreTokenizerStep step = Comma(SplitBehavior::kRemoved);
  step.invert = true;
  EXPECT_THAT(Cut("a,b,,", std::move(step)), ElementsAre(",", ",", ","));
}

PreTokenizerStep Metaspace(bool first, bool never, bool cut) {
  PreTokenizerStep step;
  step.kind = PreTokenizerStep::Kind::kMetaspace;
  step.prefix = "_";
  step.prefix_first = first;
  step.prefix_never = never;
  step.behavior = SplitBehavior::kMergedWithNext;
  if (cut) step.pattern = Compile("_");
  return step;
}

TEST(PreTokenizerStepsTest, MetaspacePutsASpaceWhereItsSchemeSays) {
  EXPECT_THAT(Cut("a b", Metaspace(false, false, true)), ElementsAre("_a", "_b"));
  EXPECT_THAT(Cut(" a", Metaspace(false, false, true)), ElementsAre("_a"));
  EXPECT_THAT(Cut("a  b", Metaspace(false, false, false)), ElementsAre("_a__b"));
  EXPECT_THAT(Cut("a", Metaspace(false, true, true)), ElementsAre("a"));
  EXPECT_THAT(Cut("a", Metaspace(true, false, true)), ElementsAre("_a"));
  EXPECT_THAT(Cut("a", Metaspace(true, false, true), TextPlace::kAfterToken), ElementsAre("a"));
  EXPECT_THAT(Cut("a", Metaspace(false, false, true), TextPlace::kAfterToken), ElementsAre("_a"));
  EXPECT_THAT(Cut("a", Metaspace(false, false, true), TextPlace::kInside), ElementsAre("a"));
}

TEST(RegexDialectTest, SpacesAndWordsGetTheSetsOfOniguruma) {
  EXPECT_EQ(*OnigurumaToPcre2(R"([^\s\\]\S\p{L}[]\s])"),
            R"([^\p{White_Space}\\]\P{White_Space}\p{L}[]\p{White_Space}])");
  EXPECT_THAT(*Compile(R"(\s+)").Split("a\u180e b"), ElementsAre("a\u180e", " ", "b"));
  EXPECT_THAT(*Compile(R"(\w+)").Split("e\u0301!"), ElementsAre("e\u0301", "!"));
}

TEST(RegexDialectTest, RefusesWhatMeansSomethingElse) {
  for (const char* pattern : {R"([\W])", "[a&&b]", R"(\h)", "[a[b]]"}) {
    EXPECT_FALSE(OnigurumaToPcre2(pattern).ok()) << pattern;
  }
  EXPECT_FALSE(PreTokenizer::Create("(").ok());
}

}  // namespace
}  // namespace tributary::trainer

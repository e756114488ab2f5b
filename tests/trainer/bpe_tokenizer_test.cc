#include "trainer/bpe_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/random.h"
#include "trainer/bpe_training.h"
#include "trainer/unicode_bytes.h"

namespace tributary::trainer {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

PreTokenizer Gpt2() { return std::move(PreTokenizer::Create(kGpt2Pattern)).value(); }

BpeModel Learn(const std::vector<std::string>& texts, std::int64_t vocab_size) {
  BpeTrainer trainer(Gpt2());
  for (const std::string& text : texts) EXPECT_TRUE(trainer.Add(text).ok());
  auto model = trainer.Train(vocab_size, {"<s>", "</s>"});
  EXPECT_TRUE(model.ok()) << model.status();
  return std::move(model).value();
}

std::unique_ptr<Tokenizer> Make(BpeModel model) {
  auto tokenizer = BpeTokenizer::Create(std::move(model));
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return std::move(tokenizer).value();
}

TEST(PreTokenizerTest, SplitsAsGpt2Does) {
  EXPECT_THAT(*Gpt2().Split("It's 42 caf\u00e9s,  now!\n"),
              ElementsAre("It", "'s", " 42", " caf\u00e9s", ",", " ", " now", "!", "\n"));
}

TEST(PreTokenizerTest, PiecesOfAnyBytesJoinToTheText) {
  const PreTokenizer splitter = Gpt2();
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

TEST(UnicodeBytesTest, MapsAsGpt2DoesAndBack) {
  EXPECT_EQ(BytesToAlphabet(" a\n"), "\u0120a\u010a");
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  EXPECT_EQ(AlphabetToBytes(BytesToAlphabet(all)), all);
  EXPECT_EQ(AlphabetToBytes("\u20ac"), std::nullopt);
}

TEST(BpeTrainerTest, MergesTheMostFrequentPairFirst) {
  const BpeModel model = Learn({"abab,abab,abc"}, 2 + 256 + 2);
  const std::int32_t a = 2 + 'a';
  ASSERT_EQ(model.merges.size(), 2U);
  EXPECT_EQ(model.merges[0], std::make_pair(a, a + 1));
  EXPECT_EQ(model.tokens[258], "ab");
  EXPECT_EQ(model.tokens[259], "abab");
}

TEST(BpeTrainerTest, StopsWhenNoPairRepeats) { EXPECT_EQ(Learn({"xyz"}, 300).tokens.size(), 258U); }

TEST(BpeTrainerTest, DoesNotDependOnTheOrderOfTexts) {
  const std::vector<std::string> texts = {"the cat sat", "on the mat", "that the hat", "cat hat"};
  EXPECT_EQ(Learn(texts, 280).tokens,
            Learn(std::vector<std::string>(texts.rbegin(), texts.rend()), 280).tokens);
}

TEST(BpeTokenizerTest, RoundTripsTextAndBytesThatAreNoUtf8) {
  const auto tokenizer = Make(Learn({"water is wet", "the water of the sea"}, 290));
  for (const std::string& text :
       {std::string("the wet water"), std::string(""),
        std::string("\u00fcn\u00efc\u00f6de \u6c34 \U0001f600"),
        std::string("a\xff\xfe\x80 b\0c", 9), std::string("tabs\tand\n\n  spaces  ")}) {
    const auto ids = tokenizer->Encode(text);
    ASSERT_TRUE(ids.ok()) << ids.status();
    EXPECT_EQ(*tokenizer->Decode(*ids), text);
  }
}

TEST(BpeTokenizerTest, AppliesMergesByRankNotByPosition) {
  BpeModel model = Learn({}, 258);
  const std::int32_t a = 2 + 'a';
  model.tokens.insert(model.tokens.end(), {"bc", "ab"});
  model.merges = {{a + 1, a + 2}, {a, a + 1}};
  EXPECT_THAT(*Make(model)->Encode("abcab"), ElementsAre(a, 258, 259));
}

TEST(BpeTokenizerTest, MergesALongRepetitionFromTheLeft) {
  BpeModel model = Learn({}, 258);
  const std::int32_t a = 2 + 'a';
  model.tokens.insert(model.tokens.end(), {"aa", "aaaa"});
  model.merges = {{a, a}, {258, 258}};
  const auto ids = Make(model)->Encode(std::string(100'003, 'a'));
  ASSERT_TRUE(ids.ok());
  EXPECT_EQ(ids->size(), 25'002U);
  EXPECT_THAT(std::vector<std::int32_t>(ids->end() - 3, ids->end()), ElementsAre(259, 258, a));
}

TEST(BpeTokenizerTest, TextNeverMakesSpecialTokens) {
  const auto ids = Make(Learn({"x"}, 258))->Encode("</s>");
  EXPECT_THAT(*ids, ElementsAre(2 + '<', 2 + '/', 2 + 's', 2 + '>'));
}

TEST(BpeTokenizerTest, TokenizerJsonRoundTrips) {
  const BpeModel model = Learn({"water is wet", "the water of the sea", "\u00fc\u00fc\u00fc"}, 290);
  const auto read = BpeModel::FromJson(model.ToJson(0));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->tokens, model.tokens);
  EXPECT_EQ(read->merges, model.merges);
  EXPECT_EQ(read->special, model.special);
  EXPECT_EQ(read->pattern, kGpt2Pattern);
}

TEST(BpeTokenizerTest, ReadsASplitSequenceAndPairMerges) {
  auto object = nlohmann::json::parse(Learn({"water water"}, 260).ToJson(-1));
  object["pre_tokenizer"] = {
      {"type", "Sequence"},
      {"pretokenizers",
       {{{"type", "Split"},
         {"pattern", {{"Regex", "\\p{N}{1,3}|\\P{N}+"}}},
         {"behavior", "Isolated"}},
        {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}}}};
  for (auto& merge : object["model"]["merges"]) {
    const std::string text = merge;
    merge = {text.substr(0, text.find(' ')), text.substr(text.find(' ') + 1)};
  }
  const auto read = BpeModel::FromJson(object.dump());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->pattern, "\\p{N}{1,3}|\\P{N}+");
  EXPECT_EQ(read->merges.size(), 2U);
}

TEST(BpeTokenizerTest, RefusesWhatItDoesNotBuildAndSaysWhatItDoes) {
  auto object = nlohmann::json::parse(Learn({"x"}, 258).ToJson(-1));
  object["normalizer"] = {{"type", "NFC"}};
  object["pre_tokenizer"] = {{"type", "Whitespace"}};
  object["model"]["byte_fallback"] = true;
  const auto read = BpeModel::FromJson(object.dump());
  ASSERT_FALSE(read.ok());
  EXPECT_THAT(read.status().message(), HasSubstr("normalizer"));
  EXPECT_THAT(read.status().message(), HasSubstr("pre_tokenizer: supported: ByteLevel"));
  EXPECT_THAT(read.status().message(), HasSubstr("byte_fallback"));
  EXPECT_THAT(BpeModel::FromJson(R"({"model": {"type": "Unigram"}})").status().message(),
              HasSubstr("supported: BPE"));
  EXPECT_FALSE(BpeModel::FromJson(R"({"model": {"type": "BPE", "ignore_merges": 3}})").ok());
}

}  // namespace
}  // namespace tributary::trainer

// Tokenizers as a whole, from tokenizer.json to ids and back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "trainer/bpe_training.h"
#include "trainer/tokenizer.h"

namespace tributary::trainer {
namespace {

using testing::ElementsAre;

PreTokenizer Gpt2() { return std::move(PreTokenizer::Create(kGpt2Pattern)).value(); }

BpeModel Learn(const std::vector<std::string>& texts, std::int64_t vocab_size) {
  BpeTrainer trainer(Gpt2());
  for (const std::string& text : texts) EXPECT_TRUE(trainer.Add(text).ok());
  auto model = trainer.Train(vocab_size, {"<s>", "</s>"});
  EXPECT_TRUE(model.ok()) << model.status();
  return std::move(model).value();
}

std::unique_ptr<Tokenizer> Make(const BpeModel& model) {
  auto tokenizer = TokenizerFromJson(model.ToJson(-1), "{}");
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return std::move(tokenizer).value();
}

TEST(TokenizerTest, RoundTripsTextAndBytesThatAreNoUtf8) {
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

TEST(TokenizerTest, AppliesMergesByRankNotByPosition) {
  BpeModel model = Learn({}, 258);
  const std::int32_t a = 2 + 'a';
  model.tokens.insert(model.tokens.end(), {"bc", "ab"});
  model.merges = {{a + 1, a + 2}, {a, a + 1}};
  EXPECT_THAT(*Make(model)->Encode("abcab"), ElementsAre(a, 258, 259));
}

TEST(TokenizerTest, MergesALongRepetitionFromTheLeft) {
  BpeModel model = Learn({}, 258);
  const std::int32_t a = 2 + 'a';
  model.tokens.insert(model.tokens.end(), {"aa", "aaaa"});
  model.merges = {{a, a}, {258, 258}};
  const auto ids = Make(model)->Encode(std::string(100'003, 'a'));
  ASSERT_TRUE(ids.ok());
  EXPECT_EQ(ids->size(), 25'002U);
  EXPECT_THAT(std::vector<std::int32_t>(ids->end() - 3, ids->end()), ElementsAre(259, 258, a));
}

TEST(TokenizerTest, TextNeverMakesSpecialTokens) {
  const auto ids = Make(Learn({"x"}, 258))->Encode("</s>");
  EXPECT_THAT(*ids, ElementsAre(2 + '<', 2 + '/', 2 + 's', 2 + '>'));
}

}  // namespace
}  // namespace tributary::trainer

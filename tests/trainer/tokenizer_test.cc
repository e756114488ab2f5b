// Tokenizers as a whole, from tokenizer.json to ids and back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/trainer/learnt_bpe.h"
#include "trainer/tokenizer.h"

namespace tributary::trainer {
namespace {

using testing::ElementsAre;

std::unique_ptr<Tokenizer> TokenizerOf(const BpeModel& model) {
  auto tokenizer = TokenizerFromJson(model.ToJson(-1), "{}");
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return std::move(tokenizer).value();
}

TEST(TokenizerTest, RoundTripsTextAndBytesThatAreNoUtf8) {
  const auto tokenizer = TokenizerOf(Learn({"water is wet", "the water of the sea"}, 290));
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
  EXPECT_THAT(*TokenizerOf(model)->Encode("abcab"), ElementsAre(a, 258, 259));
}

TEST(TokenizerTest, MergesALongRepetitionFromTheLeft) {
  BpeModel model = Learn({}, 258);
  const std::int32_t a = 2 + 'a';
  model.tokens.insert(model.tokens.end(), {"aa", "aaaa"});
  model.merges = {{a, a}, {258, 258}};
  const auto ids = TokenizerOf(model)->Encode(std::string(100'003, 'a'));
  ASSERT_TRUE(ids.ok());
  EXPECT_EQ(ids->size(), 25'002U);
  EXPECT_THAT(std::vector<std::int32_t>(ids->end() - 3, ids->end()), ElementsAre(259, 258, a));
}

TEST(TokenizerTest, TextNeverMakesSpecialTokens) {
  const auto ids = TokenizerOf(Learn({"x"}, 258))->Encode("</s>");
  EXPECT_THAT(*ids, ElementsAre(2 + '<', 2 + '/', 2 + 's', 2 + '>'));
}

}  // namespace
}  // namespace tributary::trainer

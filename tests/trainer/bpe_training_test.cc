#include "trainer/bpe_training.h"

#include <gtest/gtest.h>

#include "tests/trainer/learnt_bpe.h"

namespace tributary::trainer {
namespace {

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

}  // namespace
}  // namespace tributary::trainer

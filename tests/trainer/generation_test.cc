#include "trainer/generation.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/trainer/byte_tokenizer.h"
#include "tests/trainer/tiny_model.h"
#include "trainer/evaluation.h"
#include "trainer/model_directory.h"

namespace tributary::trainer {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

class GenerationTest : public testing::Test {
 protected:
  Result<std::vector<std::int32_t>> Run(const GenerationSettings& settings,
                                        const std::set<std::int32_t>& ends = {},
                                        std::int64_t max_positions = 64) const {
    return Generate(*model_, {0, 5, 7}, ends, max_positions, settings, [] { return false; });
  }
  // The likeliest next token, from the logits of the whole sequence.
  std::int32_t Next(const std::vector<std::int32_t>& ids) const {
    std::vector<std::int32_t> longer = ids;
    longer.push_back(0);  // TinyBatch feeds all but the last
    const at::Tensor logits = Logits(*model_, TinyBatch({longer}));
    return logits[logits.size(0) - 1].argmax().item<std::int32_t>();
  }
  ModelConfig config_ = TinyConfig();
  NamedTensors weights_ = TinyWeights(config_, at::kFloat);
  std::unique_ptr<LanguageModel> model_ = std::move(CreateModel(config_, weights_)).value();
};

TEST_F(GenerationTest, TakesTheLikeliestTokens) {
  const auto tokens = Run({.max_tokens = 6});
  ASSERT_TRUE(tokens.ok()) << tokens.status();
  std::vector<std::int32_t> ids = {0, 5, 7};
  ASSERT_EQ(tokens->size(), 6U);
  for (const std::int32_t token : *tokens) {
    EXPECT_EQ(token, Next(ids));
    ids.push_back(token);
  }
}

TEST_F(GenerationTest, EndsAtAnEndTokenAndAtTheLastPosition) {
  EXPECT_THAT(*Run({.max_tokens = 6}, {Next({0, 5, 7})}), IsEmpty());
  EXPECT_EQ(Run({.max_tokens = 6}, {}, 5)->size(), 2U);
  EXPECT_THAT(Run({}, {}, 2).status().message(), HasSubstr("the prompt has 3 tokens"));
}

TEST_F(GenerationTest, DrawsTheSameTokensFromTheSameSeed) {
  GenerationSettings settings{.temperature = 2, .max_tokens = 30, .seed = 3};
  const auto first = *Run(settings);
  EXPECT_EQ(*Run(settings), first);
  settings.seed = 4;
  EXPECT_NE(*Run(settings), first);
  settings.top_p = 0;
  EXPECT_EQ(*Run(settings), *Run({.max_tokens = 30})) << "one token is all that is kept";
}

TEST_F(GenerationTest, AFrequencyIsTheProbability) {
  // Two tokens of one step, drawn often enough to tell a third from a half.
  std::vector<std::int32_t> longer = {0, 5, 7, 0};
  const at::Tensor logits = Logits(*model_, TinyBatch({longer}));
  const at::Tensor p = at::softmax(logits[2].to(at::kDouble), 0);
  const std::int32_t likeliest = Next({0, 5, 7});
  int hits = 0;
  constexpr int kDraws = 2000;
  for (int seed = 0; seed < kDraws; ++seed) {
    const auto tokens =
        Run({.temperature = 1, .max_tokens = 1, .seed = static_cast<std::uint64_t>(seed)});
    hits += tokens->at(0) == likeliest ? 1 : 0;
  }
  EXPECT_NEAR(static_cast<double>(hits) / kDraws, p[likeliest].item<double>(), 0.05);
}

TEST_F(GenerationTest, CountsAnswersThatMatch) {
  const std::int32_t first = Next({0, 5, 7});
  const std::int32_t second = Next({0, 5, 7, first});
  const std::int32_t wrong = first == 4 ? 6 : 4;
  auto table = std::make_shared<TokenTable>();
  table->Add({{0, 5, 7, first, second}, {{3, 5}}});  // second ends the answer
  table->Add({{0, 5, 7, wrong, second}, {{3, 5}}});
  table->Add({{0, 5, 7}, {{1, 3}}});  // a text
  Dataset dataset;
  dataset.Add(table, 64);
  const auto tokenizer = MakeByteTokenizer();
  const auto match = CountExactMatches(*model_, *tokenizer, dataset, 8, 64, [] { return false; });
  ASSERT_TRUE(match.ok()) << match.status();
  EXPECT_EQ(match->examples, 2);
  EXPECT_EQ(match->matches, first == second ? 0 : 1);
}

}  // namespace
}  // namespace tributary::trainer

#include "trainer/dataset.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "core/files.h"
#include "tests/trainer/tiny_model.h"

namespace tributary::trainer {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// One token for each byte: its value plus 2.
class ByteTokenizer : public Tokenizer {
 public:
  Result<std::vector<std::int32_t>> Encode(std::string_view text) override {
    std::vector<std::int32_t> ids;
    for (const char c : text) ids.push_back(2 + static_cast<unsigned char>(c));
    return ids;
  }
  Result<std::string> Decode(const std::vector<std::int32_t>& ids) const override {
    return std::string(ids.size(), '?');
  }
  std::int64_t VocabSize() const override { return 258; }
};

Dataset TokenizeBytes(const std::vector<TextExample>& texts, std::int64_t length,
                      bool with_bos = true) {
  ModelConfig config = TinyConfig();
  if (!with_bos) config.bos_token = std::nullopt;
  ByteTokenizer tokenizer;
  auto dataset = Tokenize(texts, config, length, &tokenizer);
  EXPECT_TRUE(dataset.ok()) << dataset.status();
  return std::move(dataset).value();
}

class ReadExamplesTest : public testing::Test {
 protected:
  Result<std::vector<TextExample>> Read(const std::string& text) {
    EXPECT_TRUE(WriteFileAtomic(path_, text).ok());
    return ReadExamples(path_);
  }
  TemporaryDirectory directory_ = std::move(TemporaryDirectory::Create("dataset-test")).value();
  std::string path_ = JoinPath(directory_.path(), "data.jsonl");
};

TEST_F(ReadExamplesTest, ReadsTextAndPairsAndSkipsEmptyLines) {
  const auto examples = Read(
      "{\"text\": \"one\"}\n\n{\"completion\": \"c\", \"prompt\": \"p\"}\r\n{\"text\":\"last\"}");
  ASSERT_TRUE(examples.ok()) << examples.status();
  ASSERT_EQ(examples->size(), 3U);
  EXPECT_EQ((*examples)[0].completion, "one");
  EXPECT_EQ((*examples)[1].prompt, "p");
  EXPECT_EQ((*examples)[1].completion, "c");
}

TEST_F(ReadExamplesTest, NamesFileAndLineOfWhatIsWrong) {
  for (const char* line : {"{\"text\": 3}", "[]", "{\"text\": \"a\", \"x\": 1}",
                           "{\"prompt\": \"a\"}", "{", "\"\xff\""}) {
    const auto examples = Read(std::string("{\"text\": \"fine\"}\n") + line + "\n");
    ASSERT_FALSE(examples.ok()) << line;
    EXPECT_THAT(examples.status().message(), HasSubstr("data.jsonl:2: ")) << line;
  }
}

TEST(TokenizeTest, OnlyTheCompletionAndTheEndCarryLoss) {
  const Dataset dataset = TokenizeBytes({{"ab", "cd"}}, 16);
  const TokenExample& example = dataset.examples.at(0);
  EXPECT_THAT(example.ids, ElementsAre(0, 2 + 'a', 2 + 'b', 2 + 'c', 2 + 'd', 1));
  EXPECT_EQ(example.loss_from, 3);
  EXPECT_EQ(dataset.LossTokens(), 3);
}

TEST(TokenizeTest, AllOfATextCarriesLossButItsFirstToken) {
  EXPECT_EQ(TokenizeBytes({{"", "abc"}}, 16).LossTokens(), 4);
  const Dataset without_bos = TokenizeBytes({{"", "abc"}}, 16, false);
  EXPECT_THAT(without_bos.examples.at(0).ids, ElementsAre(2 + 'a', 2 + 'b', 2 + 'c', 1));
  EXPECT_EQ(without_bos.LossTokens(), 3);
}

TEST(TokenizeTest, CutsLongExamplesAndCountsThoseWithoutCompletionLeft) {
  const Dataset dataset = TokenizeBytes({{"abcdefgh", "xy"}, {"ab", "cdefgh"}}, 5);
  EXPECT_EQ(dataset.cut_off, 1);
  ASSERT_EQ(dataset.examples.size(), 1U);
  EXPECT_THAT(dataset.examples[0].ids, ElementsAre(0, 2 + 'a', 2 + 'b', 2 + 'c', 2 + 'd'));
}

TEST(TokenizeTest, RefusesSequencesLongerThanTheModelKnows) {
  ByteTokenizer tokenizer;
  const auto dataset = Tokenize({}, TinyConfig(), 65, &tokenizer);
  EXPECT_THAT(dataset.status().message(), HasSubstr("max_position_embeddings 64"));
}

TEST(PackTest, PlacesSequencesOneAfterAnotherWithTheirLossRows) {
  const TokenExample one{{0, 5, 6, 1}, 2};
  const TokenExample two{{0, 7, 1}, 1};
  const PackedBatch batch = Pack({&one, &two});
  EXPECT_TRUE(at::equal(batch.ids, at::tensor({0, 5, 6, 0, 7}, at::kLong)));
  EXPECT_THAT(batch.starts, ElementsAre(0, 3, 5));
  EXPECT_TRUE(at::equal(batch.loss_rows, at::tensor({1, 2, 3, 4}, at::kLong)));
  EXPECT_TRUE(at::equal(batch.targets, at::tensor({6, 1, 7, 1}, at::kLong)));
}

TEST(ShuffledIndicesTest, EachEpochHasEveryIndexOnceInAnotherOrder) {
  ShuffledIndices indices(50, 9);
  std::vector<std::vector<std::size_t>> epochs(2);
  for (auto& epoch : epochs) {
    for (int i = 0; i < 50; ++i) epoch.push_back(indices.Next());
    EXPECT_EQ(std::set<std::size_t>(epoch.begin(), epoch.end()).size(), 50U);
  }
  EXPECT_NE(epochs[0], epochs[1]);
  ShuffledIndices again(50, 9);
  EXPECT_EQ(again.Next(), epochs[0][0]);
}

}  // namespace
}  // namespace tributary::trainer

#include "trainer/dataset.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "core/files.h"
#include "tests/trainer/byte_tokenizer.h"
#include "tests/trainer/tiny_model.h"

namespace tributary::trainer {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(CheckSequenceLengthTest, RefusesSequencesLongerThanTheModelKnows) {
  EXPECT_TRUE(CheckSequenceLength(TinyConfig(), 64).ok());
  EXPECT_THAT(CheckSequenceLength(TinyConfig(), 65).message(),
              HasSubstr("max_position_embeddings 64"));
}

class LoadDatasetTest : public testing::Test {
 protected:
  Result<Dataset> Load(const std::string& text, const DataSource& source) {
    EXPECT_TRUE(WriteFileAtomic(JoinPath(directory_.path(), source.path), text).ok());
    const auto tokenizer = MakeByteTokenizer();
    TokenCache cache({}, {});
    return LoadDataset({source}, directory_.path(), config_, 64, tokenizer.get(), &cache);
  }
  LoadDatasetTest() { config_.shape.vocab_size = 258; }  // the tokenizer's
  TemporaryDirectory directory_ = std::move(TemporaryDirectory::Create("dataset-test")).value();
  ModelConfig config_ = TinyConfig();
};

TEST_F(LoadDatasetTest, RefusesTokensOnlyWhereTheyOccurThatTheModelHasNot) {
  config_.shape.vocab_size = 2 + 'c';
  EXPECT_TRUE(Load(R"({"text": "ab"})", {.name = "d", .path = "d.jsonl"}).ok());
  const auto beyond = Load(R"({"text": "abc"})", {.name = "d", .path = "d.jsonl"});
  EXPECT_THAT(beyond.status().message(), HasSubstr("d.jsonl: token 101 (\"c\")"));
  EXPECT_THAT(beyond.status().message(), HasSubstr("vocab_size is 101"));
}

TEST_F(LoadDatasetTest, CountsWhatItLeavesOut) {
  const std::string text = "{\"text\": \"a\"}\nbad\n";
  const auto dataset = Load(text, {.name = "d", .path = "d.jsonl", .max_bad_lines = 1});
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ(dataset->size(), 1U);
  EXPECT_EQ(dataset->bad_lines, 1);
  EXPECT_THAT(Load(text, {.name = "d", .path = "d.jsonl"}).status().message(),
              HasSubstr("d.jsonl:2: "));
}

TEST_F(LoadDatasetTest, WritesConversationsAsTheTaskSays) {
  const auto dataset = Load(R"({"prompt": "U", "completion": "A"})",
                            {.name = "d", .path = "d.jsonl", .chat_template = "zephyr"});
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_THAT(dataset->At(0).loss, ElementsAre(TokenExample::Span{26, 28}));
  EXPECT_THAT(Load("", {.name = "d", .path = "d.jsonl", .chat_template = "x"}).status().message(),
              HasSubstr("d: template: \"x\" is unknown"));
}

TEST(PackTest, PlacesSequencesOneAfterAnotherWithTheirLossRows) {
  const TokenExample one{{0, 5, 6, 1}, {{2, 4}}};
  const TokenExample two{{0, 7, 1}, {{1, 3}}};
  const PackedBatch batch = Pack({one, two});
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

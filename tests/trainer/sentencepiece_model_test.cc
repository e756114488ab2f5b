#include "trainer/sentencepiece_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>

#include "core/files.h"
#include "trainer/tokenizer.h"

namespace tributary::trainer {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string Varint(std::uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  return bytes + static_cast<char>(value);
}
std::string Number(std::uint32_t field, std::uint64_t value) {
  return Varint(field << 3) + Varint(value);
}
std::string Bytes(std::uint32_t field, const std::string& bytes) {
  return Varint(field << 3 | 2) + Varint(bytes.size()) + bytes;
}
std::string Piece(const std::string& text, float score, std::uint64_t type = 1) {
  const auto bits = std::bit_cast<std::uint32_t>(score);
  std::string fixed;
  for (int i = 0; i < 4; ++i) fixed += static_cast<char>(bits >> (8 * i));
  return Bytes(1, Bytes(1, text) + Varint(2 << 3 | 5) + fixed + Number(3, type));
}

// 0 <unk>, 1 <s>, 2 </s>, 3..258 bytes, then pieces.
std::string SmallModel(const std::string& trainer = Number(3, 2) + Number(35, 1),
                       const std::string& normalizer = Number(4, 0), const std::string& more = "") {
  std::string model = Piece("<unk>", 0, 2) + Piece("<s>", 0, 3) + Piece("</s>", 0, 3);
  for (int byte = 0; byte < 256; ++byte) {
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", static_cast<unsigned>(byte));
    model += Piece(name, 0, 6);
  }
  float score = 0;
  for (const char* text : {"ab", "\u2581ab", "aa", "aaa", "\u2581", "a", "b"}) {
    model += Piece(text, --score);  // from 259 on
  }
  return model + more + Bytes(2, trainer) + Bytes(3, normalizer);
}

class SentencePieceModelTest : public testing::Test {
 protected:
  Result<std::unique_ptr<Tokenizer>> Load(const std::string& model,
                                          const std::string& config = "{}") {
    EXPECT_TRUE(WriteFileAtomic(Path("tokenizer.model"), model).ok());
    EXPECT_TRUE(WriteFileAtomic(Path("tokenizer_config.json"), config).ok());
    return LoadTokenizer(directory_.path());
  }
  std::string Path(std::string_view name) const { return JoinPath(directory_.path(), name); }
  TemporaryDirectory directory_ =
      std::move(TemporaryDirectory::Create("sentencepiece-test")).value();
};

TEST_F(SentencePieceModelTest, MergesByScoreAndFallsBackToBytes) {
  const auto tokenizer = Load(SmallModel());
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_THAT(*(*tokenizer)->Encode("ab b"), ElementsAre(260, 263, 265));
  EXPECT_THAT(*(*tokenizer)->Encode("aaaa"), ElementsAre(263, 261, 261));
  EXPECT_THAT(*(*tokenizer)->Encode("\n</s>"),
              ElementsAre(263, 3 + '\n', 3 + '<', 3 + '/', 3 + 's', 3 + '>'));
  EXPECT_THAT(*(*tokenizer)->Encode("ab", {.place = TextPlace::kInside}), ElementsAre(259));
  EXPECT_EQ(*(*tokenizer)->Decode({260, 263, 265, 2}), "ab b</s>");
}

TEST_F(SentencePieceModelTest, BeginsWithBosUnlessToldOtherwise) {
  const auto tokenizer = Load(SmallModel());
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_TRUE((*tokenizer)->Special().add_bos);
  EXPECT_EQ((*tokenizer)->Special().bos, 1);
  EXPECT_EQ((*tokenizer)->Special().eos, 2);
  EXPECT_FALSE((*Load(SmallModel(), R"({"add_bos_token": false})"))->Special().add_bos);
}

TEST_F(SentencePieceModelTest, KnowsTokensThatTheConfigurationAdds) {
  const auto tokenizer = Load(SmallModel(), R"({"added_tokens_decoder": {
      "2": {"content": "</s>", "special": true}, "270": {"content": "<|x|>", "special": true}}})");
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_EQ((*tokenizer)->VocabSize(), 271);
  EXPECT_EQ((*tokenizer)->FindToken("<|x|>"), 270);
  EXPECT_THAT(*(*tokenizer)->Encode("<|x|></s>", {.special = SpecialText::kTokens}),
              ElementsAre(270, 2));
}

// As transformers of before 2023 wrote them.
TEST_F(SentencePieceModelTest, KnowsTokensOfAddedTokensJson) {
  ASSERT_TRUE(
      WriteFileAtomic(Path("added_tokens.json"), R"({"<|im_end|>": 266, "<x>": 267})").ok());
  const auto tokenizer = Load(SmallModel(), R"({"eos_token": "<|im_end|>"})");
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_EQ((*tokenizer)->Special().eos, 266);
  EXPECT_EQ((*tokenizer)->VocabSize(), 268);
  // The first is special, which text cannot forge.
  EXPECT_THAT(*(*tokenizer)->Encode("<x>"), ElementsAre(267));
  EXPECT_EQ((*tokenizer)->Encode("<|im_end|>")->front(), 263);
  EXPECT_THAT(*(*tokenizer)->Encode("<|im_end|>", {.special = SpecialText::kTokens}),
              ElementsAre(266));
  const Digest with = *TokenizerDigest(directory_.path());
  ASSERT_TRUE(WriteFileAtomic(Path("added_tokens.json"), R"({"<x>": -1})").ok());
  EXPECT_NE(with, *TokenizerDigest(directory_.path()));
  EXPECT_THAT(Load(SmallModel()).status().message(), HasSubstr("added_tokens.json"));
}

TEST_F(SentencePieceModelTest, FilesOfSlowTokenizersSayHowTheyBecomeOne) {
  ASSERT_TRUE(WriteFileAtomic(Path("vocab.json"), "{}").ok());
  EXPECT_THAT(LoadTokenizer(directory_.path()).status().message(), HasSubstr("save_pretrained"));
}

TEST_F(SentencePieceModelTest, RefusesOtherModelsAndSaysWhatIsSupported) {
  EXPECT_THAT(Load(SmallModel(Number(3, 1))).status().message(),
              HasSubstr("model_type: supported: BPE"));
  EXPECT_THAT(Load(SmallModel(Number(3, 2), Bytes(2, "map"))).status().message(),
              HasSubstr("normalizer: supported: identity; tokenizer.model: remove_extra"));
  EXPECT_THAT(Load(SmallModel(Number(3, 2), Number(4, 0), Piece("x", 0, 4))).status().message(),
              HasSubstr("user-defined"));
}

TEST_F(SentencePieceModelTest, RefusesWhatIsNoModel) {
  const std::string model = SmallModel();
  for (std::size_t size = 0; size < model.size(); size += 1 + size / 50) {
    (void)ReadSentencePieceModel(model.substr(0, size), "{}").ok();  // whatever comes: no crash
  }
  EXPECT_FALSE(Load("not a model").ok());
  EXPECT_FALSE(Load("").ok());
}

TEST(LoadTokenizerTest, SaysWhatAModelDirectoryNeeds) {
  const auto directory = TemporaryDirectory::Create("tokenizer-test");
  const auto tokenizer = LoadTokenizer(directory->path());
  EXPECT_EQ(tokenizer.status().code(), StatusCode::kNotFound);
  EXPECT_THAT(tokenizer.status().message(), HasSubstr("tokenizer.json, tokenizer.model"));
}

}  // namespace
}  // namespace tributary::trainer

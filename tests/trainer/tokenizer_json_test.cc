#include "trainer/tokenizer_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/byte_alphabet.h"
#include "trainer/bpe_training.h"
#include "trainer/tokenizer.h"

namespace tributary::trainer {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// 258 tokens: <s>, </s>, then the bytes. A `bos` goes before a text.
json ByteLevelJson(std::int32_t bos = -1) {
  auto pre_tokenizer = PreTokenizer::Create(kGpt2Pattern);
  EXPECT_TRUE(pre_tokenizer.ok());
  const auto model = BpeTrainer(*std::move(pre_tokenizer)).Train(258, {"<s>", "</s>"});
  EXPECT_TRUE(model.ok());
  return json::parse(model->ToJson(bos));
}

// As Llama 2's: 0 <unk>, 1 <s>, 2 </s>, 3..258 the bytes, then characters and merges.
json SentencePieceJson() {
  json vocab = {{"<unk>", 0}, {"<s>", 1}, {"</s>", 2}};
  for (int byte = 0; byte < 256; ++byte) {
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", static_cast<unsigned>(byte));
    vocab[name] = 3 + byte;
  }
  int next = 259;
  for (const char* text : {"\u2581", "a", "b", "\u2581a", "ab", "\u2581ab"}) vocab[text] = next++;
  const auto special = [](int id, const char* content) {
    return json{{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
                {"rstrip", false}, {"normalized", false}, {"special", true}};
  };
  return {{"added_tokens", {special(0, "<unk>"), special(1, "<s>"), special(2, "</s>")}},
          {"normalizer",
           {{"type", "Sequence"},
            {"normalizers",
             {{{"type", "Prepend"}, {"prepend", "\u2581"}},
              {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "\u2581"}}}}}},
          {"pre_tokenizer", nullptr},
          {"post_processor", nullptr},
          {"decoder",
           {{"type", "Sequence"},
            {"decoders",
             {{{"type", "Replace"}, {"pattern", {{"String", "\u2581"}}}, {"content", " "}},
              {{"type", "ByteFallback"}},
              {{"type", "Fuse"}},
              {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}}}}}},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", "<unk>"},
            {"fuse_unk", true},
            {"byte_fallback", true},
            {"vocab", vocab},
            {"merges", {"a b", "\u2581 a", "\u2581 ab"}}}}};
}

std::unique_ptr<Tokenizer> FromJson(const json& object, const std::string& config = "{}") {
  auto tokenizer = TokenizerFromJson(object.dump(), config);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return std::move(tokenizer).value();
}

std::string Problem(const json& object, const std::string& config = "{}") {
  const auto tokenizer = TokenizerFromJson(object.dump(), config);
  EXPECT_FALSE(tokenizer.ok());
  return tokenizer.status().message();
}

TEST(TokenizerJsonTest, SentencePieceStyleMergesAndFallsBackToBytes) {
  const auto tokenizer = FromJson(SentencePieceJson());
  EXPECT_THAT(*tokenizer->Encode("ab a"), ElementsAre(264, 262));
  EXPECT_THAT(*tokenizer->Encode("b\u00e9"), ElementsAre(259, 261, 3 + 0xc3, 3 + 0xa9));
  EXPECT_THAT(*tokenizer->Encode("\xff"), ElementsAre(259, 3 + 0xff));
  EXPECT_THAT(*tokenizer->Encode(""), IsEmpty());
  EXPECT_EQ(*tokenizer->Decode({264, 262, 3 + 0xc3, 3 + 0xa9}), "ab a\u00e9");
  EXPECT_EQ(*tokenizer->Decode({3 + 0xc3, 261, 1}), "\ufffdb<s>");
}

TEST(TokenizerJsonTest, ATextInsideAnotherGetsNoSpace) {
  const auto tokenizer = FromJson(SentencePieceJson());
  EXPECT_THAT(*tokenizer->Encode("ab", {.place = TextPlace::kInside}), ElementsAre(263));
  EXPECT_THAT(*tokenizer->Encode("ab", {.place = TextPlace::kAfterToken}), ElementsAre(264));
}

TEST(TokenizerJsonTest, UnknownCharactersInARowAreOne) {
  json object = SentencePieceJson();
  object["model"]["byte_fallback"] = false;
  EXPECT_THAT(*FromJson(object)->Encode("\u6c34\u6c34b\u6c34"), ElementsAre(259, 0, 261, 0));
  object["model"]["fuse_unk"] = false;
  EXPECT_THAT(*FromJson(object)->Encode("\u6c34\u6c34b"), ElementsAre(259, 0, 0, 261));
}

// Ids of these three as the tokenizers library gives them.
TEST(TokenizerJsonTest, WhatHasNoTokenIsDroppedWhereNothingStandsForTheUnknown) {
  json object = SentencePieceJson();
  object["model"]["byte_fallback"] = false;
  object["model"]["unk_token"] = nullptr;
  const auto tokenizer = FromJson(object);
  EXPECT_THAT(*tokenizer->Encode("\u6c34\u6c34b"), ElementsAre(259, 261));
  EXPECT_THAT(*tokenizer->Encode("a\u6c34b"), ElementsAre(264));
  EXPECT_EQ(tokenizer->DroppedCharacters(), 3);
  EXPECT_THAT(*tokenizer->Encode("a\u6c34b"), ElementsAre(264));  // from the cache
  EXPECT_EQ(tokenizer->DroppedCharacters(), 4);
}

TEST(TokenizerJsonTest, AByteVocabularyMayLackBytes) {
  json object = ByteLevelJson();
  object["model"]["vocab"].erase(BytesToAlphabet("\x04"));
  object["model"]["vocab"].erase(BytesToAlphabet("\xb4"));
  object["model"]["vocab"]["ab"] = 258;
  object["model"]["merges"] = {"a b"};
  const auto tokenizer = FromJson(object);
  EXPECT_THAT(*tokenizer->Encode("ab\x04"
                                 "ab"),
              ElementsAre(258, 258));
  EXPECT_THAT(*tokenizer->Encode("a\x04"), ElementsAre(2 + 'a'));
  EXPECT_THAT(*tokenizer->Encode("\x04"), IsEmpty());
  EXPECT_EQ(tokenizer->DroppedCharacters(), 3);
  EXPECT_THAT(*tokenizer->Encode("\u6c34"), ElementsAre(2 + 0xe6, 2 + 0xb0));
  EXPECT_EQ(tokenizer->DroppedCharacters(), 4);
  object["model"]["unk_token"] = "</s>";
  EXPECT_THAT(*FromJson(object)->Encode("a\x04\x04"), ElementsAre(2 + 'a', 1, 1));
  object["model"]["fuse_unk"] = true;
  EXPECT_THAT(*FromJson(object)->Encode("a\x04\x04"), ElementsAre(2 + 'a', 1));
}

TEST(TokenizerJsonTest, ACharacterFallsBackToAllOfItsBytesOrNone) {
  json object = SentencePieceJson();
  object["model"]["vocab"].erase("<0xA9>");
  object["model"]["vocab"].erase("<0x04>");
  EXPECT_THAT(*FromJson(object)->Encode("b\u00e9\u00a2"),
              ElementsAre(259, 261, 0, 3 + 0xc2, 3 + 0xa2));
  object["model"]["unk_token"] = nullptr;
  EXPECT_THAT(*FromJson(object)->Encode("b\u00e9"), ElementsAre(259, 261));
}

TEST(TokenizerJsonTest, TextMakesSpecialTokensOnlyWhenAsked) {
  const auto tokenizer = FromJson(SentencePieceJson());
  EXPECT_THAT(*tokenizer->Encode("a</s>b", {.special = SpecialText::kTokens}),
              ElementsAre(262, 2, 259, 261));
  const auto plain = tokenizer->Encode("</s>");
  EXPECT_THAT(*plain, ElementsAre(259, 3 + '<', 3 + '/', 3 + 's', 3 + '>'));
}

json Added(const char* content, bool single_word, bool strip) {
  return {{"id", 300},       {"content", content}, {"single_word", single_word},
          {"lstrip", strip}, {"rstrip", strip},    {"normalized", false},
          {"special", false}};
}

TEST(TokenizerJsonTest, AddedTokensThatAreNotSpecialAreFoundInText) {
  json object = ByteLevelJson();
  object["added_tokens"].push_back(Added("<x>", false, false));
  EXPECT_THAT(*FromJson(object)->Encode("a<x> b"), ElementsAre(2 + 'a', 300, 2 + ' ', 2 + 'b'));
  EXPECT_EQ(FromJson(object)->VocabSize(), 301);
  EXPECT_EQ(FromJson(object)->FindToken("<x>"), 300);
  EXPECT_EQ(FromJson(object)->FindToken("<y>"), std::nullopt);
}

TEST(TokenizerJsonTest, AddedTokensTakeTheSpaceAroundThem) {
  json object = ByteLevelJson();
  object["added_tokens"].push_back(Added("<x>", false, true));
  EXPECT_THAT(*FromJson(object)->Encode("a \u00a0<x>\n b"), ElementsAre(2 + 'a', 300, 2 + 'b'));
}

TEST(TokenizerJsonTest, ASingleWordTouchesNoLetter) {
  json object = ByteLevelJson();
  object["added_tokens"].push_back(Added("go", true, false));
  EXPECT_THAT(*FromJson(object)->Encode("go"), ElementsAre(300));
  EXPECT_THAT(*FromJson(object)->Encode("go!"), ElementsAre(300, 2 + '!'));
  EXPECT_THAT(*FromJson(object)->Encode("ago"), ElementsAre(2 + 'a', 2 + 'g', 2 + 'o'));
  EXPECT_THAT(*FromJson(object)->Encode("go1"), ElementsAre(2 + 'g', 2 + 'o', 2 + '1'));
}

TEST(TokenizerJsonTest, NfcComposesBeforeTokensAreMade) {
  json object = ByteLevelJson();
  object["normalizer"] = {{"type", "NFC"}};
  const auto tokenizer = FromJson(object);
  EXPECT_THAT(*tokenizer->Encode("e\u0301"), ElementsAre(2 + 0xc3, 2 + 0xa9));
  EXPECT_THAT(*tokenizer->Encode("\xff"
                                 "e\u0301"),
              ElementsAre(2 + 0xff, 2 + 0xc3, 2 + 0xa9));
}

TEST(TokenizerJsonTest, ReadsASplitSequenceAndPairMerges) {
  json object = ByteLevelJson();
  object["pre_tokenizer"] = {
      {"type", "Sequence"},
      {"pretokenizers",
       {{{"type", "Split"},
         {"pattern", {{"Regex", "\\p{N}{1,3}|\\P{N}+"}}},
         {"behavior", "Isolated"},
         {"invert", false}},
        {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}}}};
  object["model"]["vocab"]["12"] = 258;
  object["model"]["vocab"]["34"] = 259;
  object["model"]["merges"] = json::array({json::array({"1", "2"}), json::array({"3", "4"})});
  EXPECT_THAT(*FromJson(object)->Encode("1234"), ElementsAre(258, 2 + '3', 2 + '4'));
}

TEST(TokenizerJsonTest, AWholePieceGoesBeforeMergesWhenTheModelSaysSo) {
  json object = ByteLevelJson();
  object["model"]["vocab"]["abc"] = 258;
  EXPECT_THAT(*FromJson(object)->Encode("abc"), ElementsAre(2 + 'a', 2 + 'b', 2 + 'c'));
  object["model"]["ignore_merges"] = true;
  EXPECT_THAT(*FromJson(object)->Encode("abc"), ElementsAre(258));
}

TEST(TokenizerJsonTest, RefusesWhatItDoesNotBuildAndSaysWhatItDoes) {
  json object = ByteLevelJson();
  object["normalizer"] = {{"type", "Lowercase"}};
  object["pre_tokenizer"] = {{"type", "BertPreTokenizer"}};
  object["decoder"] = {{"type", "WordPiece"}};
  object["post_processor"] = {{"type", "RobertaProcessing"}};
  object["model"]["dropout"] = 0.1;
  const std::string problem = Problem(object);
  EXPECT_THAT(problem, HasSubstr("Lowercase\"} is not supported; supported: NFC"));
  EXPECT_THAT(problem, HasSubstr("BertPreTokenizer\"} is not supported; supported: ByteLevel"));
  EXPECT_THAT(problem, HasSubstr("WordPiece\"} is not supported; supported: ByteLevel"));
  EXPECT_THAT(problem, HasSubstr("RobertaProcessing\"} is not supported; supported: ByteLevel"));
  EXPECT_THAT(problem, HasSubstr("model.dropout"));
  for (const char* type : {"Unigram", "WordPiece", "WordLevel"}) {
    EXPECT_THAT(Problem({{"model", {{"type", type}}}}), HasSubstr("supported: BPE"));
  }
  EXPECT_FALSE(TokenizerFromJson(R"({"model": {"type": "BPE", "ignore_merges": 3}})", "{}").ok());
}

TEST(TokenizerJsonTest, RefusesIdsThatWouldTakeAllMemory) {
  json object = ByteLevelJson();
  object["model"]["vocab"]["zz"] = 4'000'000'000;
  EXPECT_THAT(Problem(object), HasSubstr("id 4000000000 must be 0..16777215"));
}

TEST(TokenizerConfigTest, SaysWhatGoesAroundAText) {
  const auto plain = FromJson(ByteLevelJson());
  EXPECT_FALSE(plain->Special().add_bos);
  EXPECT_EQ(plain->Special().eos, std::nullopt);
  const auto tokenizer = FromJson(ByteLevelJson(), R"({"bos_token": "<s>", "add_bos_token": true,
      "eos_token": {"content": "</s>", "lstrip": false}, "chat_template": "{{ x }}"})");
  EXPECT_TRUE(tokenizer->Special().add_bos);
  EXPECT_FALSE(tokenizer->Special().add_eos);
  EXPECT_EQ(tokenizer->Special().bos, 0);
  EXPECT_EQ(tokenizer->Special().eos, 1);
  EXPECT_TRUE(tokenizer->Special().has_chat_template);
  EXPECT_THAT(Problem(ByteLevelJson(), R"({"eos_token": "<end>"})"),
              HasSubstr("eos_token: \"<end>\" is no token"));
}

TEST(TokenizerConfigTest, ThePostProcessorSaysWhetherThereIsABos) {
  const json object = ByteLevelJson(0);
  EXPECT_TRUE(FromJson(object)->Special().add_bos);
  EXPECT_EQ(FromJson(object)->Special().bos, 0);
  EXPECT_FALSE(FromJson(object, R"({"bos_token": null})")->Special().add_bos);
  EXPECT_FALSE(FromJson(object, R"({"add_bos_token": false})")->Special().add_bos);
}

// Which classes look at the flags was tried with transformers 4.46.
TEST(TokenizerConfigTest, OnlySomeClassesLookAtAddBosToken) {
  const auto adds = [](const json& object, const std::string& name, const std::string& more) {
    return FromJson(object,
                    R"({"bos_token": "<s>", "tokenizer_class": ")" + name + "\"" + more + "}")
        ->Special()
        .add_bos;
  };
  const std::string on = R"(, "add_bos_token": true)";
  const std::string off = R"(, "add_bos_token": false)";
  const json without = ByteLevelJson();
  const json with = ByteLevelJson(0);
  for (const char* name : {"PreTrainedTokenizerFast", "GPT2Tokenizer", "Qwen2TokenizerFast"}) {
    EXPECT_TRUE(adds(with, name, off)) << name;
    EXPECT_FALSE(adds(without, name, on)) << name;
  }
  for (const char* name : {"LlamaTokenizer", "LlamaTokenizerFast", "CodeLlamaTokenizerFast",
                           "GemmaTokenizer", "CohereTokenizerFast"}) {
    EXPECT_FALSE(adds(with, name, off)) << name;
    EXPECT_TRUE(adds(without, name, on)) << name;
    EXPECT_TRUE(adds(without, name, "")) << name;
  }
}

TEST(TokenizerJsonTest, KnowsTextThatSpellsSpecialTokens) {
  json object = SentencePieceJson();
  object["added_tokens"].push_back(Added("<x>", false, false));
  const auto tokenizer = FromJson(object);
  EXPECT_TRUE(tokenizer->SpellsSpecialToken("a</s>"));
  EXPECT_FALSE(tokenizer->SpellsSpecialToken("a</ s><x>"));
}

}  // namespace
}  // namespace tributary::trainer

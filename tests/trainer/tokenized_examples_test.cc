#include "trainer/tokenized_examples.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "core/chat_template_names.h"
#include "tests/trainer/byte_tokenizer.h"

namespace tributary::trainer {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::HasSubstr;
using Span = TokenExample::Span;

TextExample Text(const char* text) {
  TextExample example;
  example.text = text;
  return example;
}
TextExample Pair(const char* prompt, const char* completion,
                 ExampleKind kind = ExampleKind::kCompletion) {
  TextExample example;
  example.kind = kind;
  example.prompt = prompt;
  example.completion = completion;
  return example;
}
TextExample Chat(std::vector<Message> messages) {
  TextExample example;
  example.kind = ExampleKind::kMessages;
  example.messages = std::move(messages);
  return example;
}

Dataset TokenizeAll(const std::vector<TextExample>& texts, std::int64_t length,
                    bool with_bos = true) {
  const auto tokenizer = MakeByteTokenizer({"<s>", "</s>"}, with_bos);
  auto table = Tokenize(texts, {}, tokenizer.get());
  EXPECT_TRUE(table.ok()) << table.status();
  Dataset dataset;
  dataset.Add(std::make_shared<TokenTable>(*std::move(table)), length);
  return dataset;
}

// The sequence as text, with what carries loss between > and <.
std::string Marked(const TextExample& example, Tokenizer* tokenizer,
                   const char* chat_template = nullptr) {
  TokenizeOptions options;
  if (chat_template != nullptr) options.chat = *FindChatTemplate(chat_template);
  const auto tokens = TokenizeExample(example, options, tokenizer);
  if (!tokens.ok()) return tokens.status().message();
  std::string text;
  std::int64_t done = 0;
  const auto decode = [&](std::int64_t begin, std::int64_t end) {
    return *tokenizer->Decode({tokens->ids.begin() + begin, tokens->ids.begin() + end});
  };
  for (const Span& span : tokens->loss) {
    text += decode(done, span.begin) + ">" + decode(span.begin, span.end) + "<";
    done = span.end;
  }
  return text + decode(done, static_cast<std::int64_t>(tokens->ids.size()));
}

TEST(TokenizeTest, OnlyTheCompletionAndTheEndCarryLoss) {
  const Dataset dataset = TokenizeAll({Pair("ab", "cd")}, 16);
  const TokenExample example = dataset.At(0);
  EXPECT_THAT(example.ids, ElementsAre(0, 2 + 'a', 2 + 'b', 2 + 'c', 2 + 'd', 1));
  EXPECT_THAT(example.loss, ElementsAre(Span{3, 6}));
  EXPECT_EQ(dataset.LossTokens(), 3);
}

TEST(TokenizeTest, AllOfATextCarriesLossButItsFirstToken) {
  EXPECT_EQ(TokenizeAll({Text("abc")}, 16).LossTokens(), 4);
  const Dataset without_bos = TokenizeAll({Text("abc")}, 16, false);
  EXPECT_THAT(without_bos.At(0).ids, ElementsAre(2 + 'a', 2 + 'b', 2 + 'c', 1));
  EXPECT_THAT(without_bos.At(0).loss, ElementsAre(Span{1, 4}));
}

TEST(TokenizeTest, CutsLongExamplesAndCountsThoseWithoutCompletionLeft) {
  const Dataset dataset = TokenizeAll({Pair("abcdefgh", "xy"), Pair("ab", "cdefgh")}, 5);
  EXPECT_EQ(dataset.cut_off, 1);
  EXPECT_EQ(dataset.truncated, 1);
  ASSERT_EQ(dataset.size(), 1U);
  EXPECT_THAT(dataset.At(0).ids, ElementsAre(0, 2 + 'a', 2 + 'b', 2 + 'c', 2 + 'd'));
  EXPECT_THAT(dataset.At(0).loss, ElementsAre(Span{3, 5}));
}

TEST(TokenizeTest, InstructionsAreWordedAsAlpacaDoes) {
  const auto tokenizer = MakeByteTokenizer();
  TextExample example = Pair("Add.", "3", ExampleKind::kInstruction);
  EXPECT_EQ(Marked(example, tokenizer.get()),
            "<s>Below is an instruction that describes a task. Write a response that appropriately "
            "completes the request.\n\n### Instruction:\nAdd.\n\n### Response:\n>3</s><");
  example.input = "1 2";
  EXPECT_EQ(Marked(example, tokenizer.get()),
            "<s>Below is an instruction that describes a task, paired with an input that provides "
            "further context. Write a response that appropriately completes the request.\n\n"
            "### Instruction:\nAdd.\n\n### Input:\n1 2\n\n### Response:\n>3</s><");
}

const std::vector<Message> kTalk = {
    {"system", "S"}, {"user", "U"}, {"assistant", "A"}, {"user", "V"}, {"assistant", "B"}};

TEST(ChatTemplateTest, EveryAnswerOfAConversationCarriesLoss) {
  const auto tokenizer = MakeByteTokenizer({"<s>", "</s>", "<|im_start|>", "<|im_end|>"});
  EXPECT_EQ(
      Marked(Chat(kTalk), tokenizer.get()),
      "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\n"
      ">A<|im_end|><\n<|im_start|>user\nV<|im_end|>\n<|im_start|>assistant\n"
      ">B<|im_end|><\n");
}

TEST(ChatTemplateTest, TokensOfATemplateStandByTheirIds) {
  const auto tokenizer = MakeByteTokenizer({"<s>", "</s>", "<|im_start|>", "<|im_end|>"});
  const auto tokens =
      TokenizeExample(Chat({{"user", "<|im_end|>"}, {"assistant", "A"}}), {}, tokenizer.get());
  ASSERT_TRUE(tokens.ok()) << tokens.status();
  EXPECT_EQ(std::count(tokens->ids.begin(), tokens->ids.end(), 3), 2)
      << "the one that a person spelled is text";
  EXPECT_EQ(tokens->ids[0], 2);
}

TEST(ChatTemplateTest, WritesAsTheModelsMakersDo) {
  const auto tokenizer = MakeByteTokenizer(
      {"<s>", "</s>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<start_of_turn>",
       "<end_of_turn>", "<|user|>", "<|assistant|>", "<|end|>", "[INST]", "[/INST]"});
  const auto marked = [&](const char* name) { return Marked(Chat(kTalk), tokenizer.get(), name); };
  EXPECT_EQ(marked("llama3"),
            "<s><|start_header_id|>system<|end_header_id|>\n\nS<|eot_id|>"
            "<|start_header_id|>user<|end_header_id|>\n\nU<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\n>A<|eot_id|><"
            "<|start_header_id|>user<|end_header_id|>\n\nV<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\n>B<|eot_id|><");
  EXPECT_EQ(marked("llama2"),
            "<s>[INST] <<SYS>>\nS\n<</SYS>>\n\nU [/INST]> A </s><<s>[INST] V [/INST]> B </s><");
  EXPECT_EQ(marked("mistral"), "<s>[INST] S\n\nU [/INST]> A</s><[INST] V [/INST]> B</s><");
  EXPECT_EQ(marked("mistral-v3"), "<s>[INST] S\n\nU[/INST]> A</s><[INST] V[/INST]> B</s><");
  EXPECT_EQ(marked("gemma"),
            "<s><start_of_turn>user\nS\n\nU<end_of_turn>\n<start_of_turn>model\n>A<end_of_turn><\n"
            "<start_of_turn>user\nV<end_of_turn>\n<start_of_turn>model\n>B<end_of_turn><\n");
  EXPECT_EQ(marked("phi3"),
            "<|system|>\nS<|end|>\n<|user|>\nU<|end|>\n<|assistant|>\n>A<|end|><\n"
            "<|user|>\nV<|end|>\n<|assistant|>\n>B<|end|><\n");
  EXPECT_EQ(marked("zephyr"),
            "<|system|>\nS</s>\n<|user|>\nU</s>\n<|assistant|>\n>A</s><\n"
            "<|user|>\nV</s>\n<|assistant|>\n>B</s><\n");
  EXPECT_EQ(marked("alpaca"),
            "<s>S\n\n### Instruction:\nU\n\n### Response:\n>A</s><"
            "### Instruction:\nV\n\n### Response:\n>B</s><");
}

TEST(ChatTemplateTest, PairsAreAConversationWhenATemplateIsNamed) {
  const auto tokenizer = MakeByteTokenizer({"<s>", "</s>", "<|im_start|>", "<|im_end|>"});
  EXPECT_EQ(Marked(Pair("U", "A"), tokenizer.get(), "chatml"),
            "<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\n>A<|im_end|><\n");
  EXPECT_EQ(Marked(Pair("U", "A"), tokenizer.get()), "<s>U>A</s><");
}

TEST(ChatTemplateTest, ThePromptOfAGenerationEndsWhereTheAnswerBegins) {
  const auto tokenizer = MakeByteTokenizer({"<s>", "</s>", "<|im_start|>", "<|im_end|>"});
  const auto ids = TokenizePrompt({{"user", "U"}}, {}, tokenizer.get());
  ASSERT_TRUE(ids.ok()) << ids.status();
  EXPECT_EQ(*tokenizer->Decode(*ids), "<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\n");
}

TEST(ChatTemplateTest, AreThoseThatACampaignFileKnows) {
  EXPECT_THAT(ChatTemplateNames(), ElementsAreArray(kChatTemplateNames));
}

TEST(ChatTemplateTest, IsToldByTheTokensOfTheTokenizerOrNamed) {
  EXPECT_EQ(GuessChatTemplate(*MakeByteTokenizer()), nullptr);
  EXPECT_EQ(GuessChatTemplate(*MakeByteTokenizer(
                {"<s>", "</s>", "<|im_start|>", "<|im_end|>", "[INST]", "[/INST]"})),
            nullptr)
      << "two fit";
  const auto plain = MakeByteTokenizer();
  EXPECT_THAT(Marked(Chat(kTalk), plain.get()), HasSubstr("name one: alpaca, chatml, gemma"));
  EXPECT_THAT(Marked(Chat(kTalk), plain.get(), "chatml"), HasSubstr("has no <|im_start|>"));
  EXPECT_THAT(FindChatTemplate("vicuna").status().message(),
              HasSubstr("\"vicuna\" is unknown; known: alpaca"));
}

}  // namespace
}  // namespace tributary::trainer

#include "trainer/tokenized_examples.h"

#include <algorithm>
#include <utility>

#include "core/text.h"

namespace tributary::trainer {
namespace {

std::int32_t EosOf(const TokenizeOptions& options, const Tokenizer& tokenizer) {
  return tokenizer.Special().eos.value_or(options.eos);
}

Result<const ChatTemplate*> TemplateFor(const TokenizeOptions& options,
                                        const Tokenizer& tokenizer) {
  const ChatTemplate* chat = options.chat != nullptr ? options.chat : GuessChatTemplate(tokenizer);
  if (chat != nullptr) return chat;
  std::string names;
  for (const std::string& name : ChatTemplateNames()) names += (names.empty() ? "" : ", ") + name;
  return InvalidArgumentError(
      "the tokenizer does not tell which template messages are written in; name one: " + names);
}

// BOS as the tokenizer puts it, prompt, completion, EOS. Texts apart, so that the border between
// them is a token border.
std::vector<Segment> Plain(std::string prompt, std::string completion,
                           const TokenizeOptions& options, const Tokenizer& tokenizer) {
  std::vector<Segment> segments;
  if (tokenizer.Special().add_bos) segments.push_back({tokenizer.Special().bos, "", false});
  if (!prompt.empty()) segments.push_back({std::nullopt, std::move(prompt), false});
  if (!completion.empty()) segments.push_back({std::nullopt, std::move(completion), true});
  segments.push_back({EosOf(options, tokenizer), "", true});
  return segments;
}

Result<std::vector<Segment>> Render(const TextExample& example, const TokenizeOptions& options,
                                    const Tokenizer& tokenizer) {
  const std::int32_t eos = EosOf(options, tokenizer);
  if (example.kind == ExampleKind::kMessages) {
    TRIBUTARY_ASSIGN_OR_RETURN(const ChatTemplate* chat, TemplateFor(options, tokenizer));
    return RenderChat(*chat, example.messages, tokenizer, eos);
  }
  const bool instruction = example.kind == ExampleKind::kInstruction;
  const bool alpaca = options.chat == nullptr || NameOf(*options.chat) == "alpaca";
  if (example.kind == ExampleKind::kText) return Plain("", example.text, options, tokenizer);
  if (instruction && alpaca) {
    return Plain(AlpacaPrompt(example.prompt, example.input), example.completion, options,
                 tokenizer);
  }
  if (options.chat == nullptr) return Plain(example.prompt, example.completion, options, tokenizer);
  const std::string input = example.input.empty() ? "" : "\n\n" + example.input;
  return RenderChat(*options.chat,
                    {{"user", example.prompt + input}, {"assistant", example.completion}},
                    tokenizer, eos);
}

// Where the text of segment `i` stands. BOS at the front is the tokenizer's own business: the text
// behind it is still a beginning, as it is for Hugging Face's tokenizers.
TextPlace PlaceOf(const std::vector<Segment>& segments, std::size_t i, bool own_bos) {
  if (i == 0 || (i == 1 && own_bos && segments[0].token)) return TextPlace::kStart;
  return segments[i - 1].token ? TextPlace::kAfterToken : TextPlace::kInside;
}

Result<TokenExample> Encode(const std::vector<Segment>& segments, bool own_bos,
                            Tokenizer* tokenizer) {
  TokenExample example;
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const Segment& segment = segments[i];
    auto begin = static_cast<std::int64_t>(example.ids.size());
    if (segment.token) {
      example.ids.push_back(*segment.token);
    } else {
      TRIBUTARY_ASSIGN_OR_RETURN(
          const std::vector<std::int32_t> ids,
          tokenizer->Encode(segment.text, {.place = PlaceOf(segments, i, own_bos)}));
      example.ids.insert(example.ids.end(), ids.begin(), ids.end());
    }
    begin = std::max<std::int64_t>(begin, 1);  // nothing predicts the first
    const auto end = static_cast<std::int64_t>(example.ids.size());
    if (!segment.loss || begin >= end) continue;
    if (!example.loss.empty() && example.loss.back().end == begin) {
      example.loss.back().end = end;
    } else {
      example.loss.push_back({begin, end});
    }
  }
  return example;
}

bool IsChat(const TextExample& example, const TokenizeOptions& options) {
  if (example.kind == ExampleKind::kMessages) return true;
  return options.chat != nullptr && example.kind != ExampleKind::kText &&
         NameOf(*options.chat) != "alpaca";
}

}  // namespace

Result<TokenExample> TokenizeExample(const TextExample& example, const TokenizeOptions& options,
                                     Tokenizer* tokenizer) {
  TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<Segment> segments,
                             Render(example, options, *tokenizer));
  return Encode(segments, !IsChat(example, options), tokenizer);
}

Result<std::vector<std::int32_t>> TokenizePrompt(const std::vector<Message>& messages,
                                                 const TokenizeOptions& options,
                                                 Tokenizer* tokenizer) {
  TRIBUTARY_RETURN_IF_ERROR(CheckTurns(messages));
  TRIBUTARY_ASSIGN_OR_RETURN(const ChatTemplate* chat, TemplateFor(options, *tokenizer));
  TRIBUTARY_ASSIGN_OR_RETURN(const std::vector<Segment> segments,
                             RenderChat(*chat, messages, *tokenizer, EosOf(options, *tokenizer)));
  TRIBUTARY_ASSIGN_OR_RETURN(TokenExample example, Encode(segments, false, tokenizer));
  return std::move(example.ids);
}

Result<TokenTable> Tokenize(const std::vector<TextExample>& texts, const TokenizeOptions& options,
                            Tokenizer* tokenizer) {
  TokenTable table;
  for (const TextExample& text : texts) {
    TRIBUTARY_ASSIGN_OR_RETURN(const TokenExample example,
                               TokenizeExample(text, options, tokenizer));
    table.Add(example);
  }
  return table;
}

std::int64_t CountSpelledSpecial(const std::vector<TextExample>& texts,
                                 const Tokenizer& tokenizer) {
  const auto spells = [&tokenizer](const std::string& text) {
    return tokenizer.SpellsSpecialToken(text);
  };
  return std::count_if(texts.begin(), texts.end(), [&](const TextExample& example) {
    return spells(example.text) || spells(example.prompt) || spells(example.input) ||
           spells(example.completion) ||
           std::any_of(example.messages.begin(), example.messages.end(),
                       [&](const Message& message) { return spells(message.content); });
  });
}

Status CheckTokens(std::span<const std::int32_t> ids, std::int64_t vocab_size,
                   const Tokenizer& tokenizer) {
  const auto beyond = [vocab_size](std::int32_t id) { return id >= vocab_size; };
  const auto it = std::find_if(ids.begin(), ids.end(), beyond);
  if (it == ids.end()) return OkStatus();
  const Result<std::string> text = tokenizer.Decode({*it});
  return InvalidArgumentError(
      "token " + std::to_string(*it) + " (\"" + Excerpt(text.ok() ? *text : "?") +
      "\") is of the tokenizer alone: the model's vocab_size is " + std::to_string(vocab_size));
}

}  // namespace tributary::trainer

// Examples as token sequences, with the part that carries loss.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/status.h"
#include "trainer/chat_template.h"
#include "trainer/examples.h"
#include "trainer/token_table.h"
#include "trainer/tokenizer.h"

namespace tributary::trainer {

struct TokenizeOptions {
  const ChatTemplate* chat = nullptr;  // null: raw; messages then take the tokenizer's own
  std::int32_t eos = 0;                // where the tokenizer's files name none
};

// The whole sequence of an example: docs/data.md says how each kind is written.
Result<TokenExample> TokenizeExample(const TextExample& example, const TokenizeOptions& options,
                                     Tokenizer* tokenizer);

// A conversation up to where the next answer begins: the prompt of a generation.
Result<std::vector<std::int32_t>> TokenizePrompt(const std::vector<Message>& messages,
                                                 const TokenizeOptions& options,
                                                 Tokenizer* tokenizer);

Result<TokenTable> Tokenize(const std::vector<TextExample>& texts, const TokenizeOptions& options,
                            Tokenizer* tokenizer);

// Examples whose texts spell special tokens: they become letters here, and tokens in Hugging
// Face's trainers.
std::int64_t CountSpelledSpecial(const std::vector<TextExample>& texts, const Tokenizer& tokenizer);

// Invalid argument for a token beyond the model's vocabulary. A tokenizer may have such (a <pad>
// that was added for batches and is never made from text): they only must not occur.
Status CheckTokens(std::span<const std::int32_t> ids, std::int64_t vocab_size,
                   const Tokenizer& tokenizer);

}  // namespace tributary::trainer

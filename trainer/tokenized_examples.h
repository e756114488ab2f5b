// Examples as token sequences, with the part that carries loss.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/status.h"
#include "trainer/chat_template.h"
#include "trainer/examples.h"
#include "trainer/tokenizer.h"

namespace tributary::trainer {

// Tokens of `loss` are predicted from those before them: spans in order, none begins at 0.
struct TokenExample {
  struct Span {
    std::int64_t begin, end;
    friend bool operator==(const Span&, const Span&) = default;
  };
  std::vector<std::int32_t> ids;
  std::vector<Span> loss;
};

struct Dataset {
  std::vector<TokenExample> examples;
  std::int64_t truncated = 0;  // examples cut to the sequence length, with loss left
  std::int64_t cut_off = 0;    // examples left out because nothing that carries loss was left
  std::int64_t bad_lines = 0;  // of their files

  std::int64_t LossTokens() const;
};

struct TokenizeOptions {
  const ChatTemplate* chat = nullptr;  // null: raw; messages then take the tokenizer's own
  std::int64_t sequence_length = 0;    // longer sequences are cut at the end
  std::int32_t eos = 0;                // where the tokenizer's files name none
};

// The whole sequence of an example: docs/data.md says how each kind is written.
Result<TokenExample> TokenizeExample(const TextExample& example, const TokenizeOptions& options,
                                     Tokenizer* tokenizer);

// A conversation up to where the next answer begins: the prompt of a generation.
Result<std::vector<std::int32_t>> TokenizePrompt(const std::vector<Message>& messages,
                                                 const TokenizeOptions& options,
                                                 Tokenizer* tokenizer);

Result<Dataset> Tokenize(const std::vector<TextExample>& texts, const TokenizeOptions& options,
                         Tokenizer* tokenizer);

}  // namespace tributary::trainer
